"""Over the native symbol."""

load(":native_symbols.bzl", "native_cc_info")

CcInfo = native_cc_info
