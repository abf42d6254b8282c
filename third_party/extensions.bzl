"""Module extension for Bazel 7 and newer. Bazel 4 has no module_extension, so nothing that it reads may load this file."""

load(":system_repos.bzl", "flatbuffers", "seccomp")

def _system_impl(_ctx):
    flatbuffers()
    seccomp()

system = module_extension(implementation = _system_impl)
