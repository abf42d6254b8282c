"""Over the native symbol."""

load(":native_symbols.bzl", "native_cc_toolchain_config_info")

CcToolchainConfigInfo = native_cc_toolchain_config_info
