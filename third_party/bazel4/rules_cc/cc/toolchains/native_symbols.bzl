"""A .bzl file cannot assign a name that it also reads as a builtin, hence this file beside those that re-export."""

native_cc_toolchain_config_info = CcToolchainConfigInfo
