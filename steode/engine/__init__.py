"""The engine of online SGD: seeds, devices, processes, noise, checkpoints. It knows no system."""
