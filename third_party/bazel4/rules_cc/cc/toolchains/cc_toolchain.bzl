"""Over the native rule."""

cc_toolchain = native.cc_toolchain
