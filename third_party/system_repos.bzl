"""Repositories made of what the system's development packages installed.

Used by WORKSPACE (Bazel 4) and, for the ones that the Central Registry lacks, by extensions.bzl (Bazel 7 and newer).
"""

def _system_repo_impl(ctx):
    for target, link in ctx.attr.symlinks.items():
        if not ctx.path(target).exists:
            fail("%s is missing: tools/setup installs the package that has it (%s)" % (target, ctx.attr.package))
        ctx.symlink(target, link)
    ctx.file("WORKSPACE", "")
    ctx.symlink(ctx.attr.build_file, "BUILD.bazel")

_system_repo = repository_rule(
    implementation = _system_repo_impl,
    attrs = {
        "build_file": attr.label(mandatory = True, allow_single_file = True),
        "package": attr.string(mandatory = True),
        "symlinks": attr.string_dict(mandatory = True),
    },
    local = True,
)

def cli11():
    _system_repo(
        name = "cli11",
        build_file = "//third_party:cli11.BUILD",
        package = "libcli11-dev",
        symlinks = {"/usr/include/CLI": "include/CLI"},
    )

def flatbuffers():
    _system_repo(
        name = "flatbuffers",
        build_file = "//third_party:flatbuffers.BUILD",
        package = "libflatbuffers-dev, flatbuffers-compiler",
        symlinks = {
            "/usr/bin/flatc": "bin/flatc",
            "/usr/include/flatbuffers": "include/flatbuffers",
        },
    )

def nlohmann_json():
    _system_repo(
        name = "nlohmann_json",
        build_file = "//third_party:nlohmann_json.BUILD",
        package = "nlohmann-json3-dev",
        symlinks = {"/usr/include/nlohmann": "include/nlohmann"},
    )

def seccomp():
    _system_repo(
        name = "seccomp",
        build_file = "//third_party:seccomp.BUILD",
        package = "libseccomp-dev",
        symlinks = {"/usr/include/seccomp.h": "include/seccomp.h"},
    )
