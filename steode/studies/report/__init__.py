"""From a study to a folder of results: computed, written as it comes, shown on one page that needs no network."""
