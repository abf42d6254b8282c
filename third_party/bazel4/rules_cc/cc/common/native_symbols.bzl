"""A .bzl file cannot assign a name that it also reads as a builtin, hence this file beside those that re-export."""

native_cc_common = cc_common  # buildifier: disable=native-cc-common
native_cc_info = CcInfo  # buildifier: disable=native-cc-info
