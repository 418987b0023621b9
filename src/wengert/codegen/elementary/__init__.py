"""Elementary and special functions of doubles as straight-line LLVM, a module for each family."""
