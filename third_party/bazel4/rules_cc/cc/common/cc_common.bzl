"""Over the native symbol."""

load(":native_symbols.bzl", "native_cc_common")

cc_common = native_cc_common
