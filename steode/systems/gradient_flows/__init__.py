"""Five gradient-flow theories of training in one form: specification, derivation, flow, literal descent, comparison."""
