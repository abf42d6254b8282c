"""Repositories made of what the system's development packages installed.

Used by WORKSPACE (Bazel 4) and, for the ones that the Central Registry lacks, by extensions.bzl (Bazel 7 and newer).
"""

def _system_repo_impl(ctx):
    for target, link in ctx.attr.symlinks.items():
        if not ctx.path(target).exists:
            fail("%s is missing: tools/setup installs the package that has it (%s)" % (target, ctx.attr.package))
        ctx.symlink(target, link)
    _finish(ctx)

def _finish(ctx):
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

# Where a system has no package for it (Windows), BROOD_FLATBUFFERS names a folder that has it: as vcpkg installs it, or a release.
def _flatbuffers_repo_impl(ctx):
    folder = ctx.os.environ.get("BROOD_FLATBUFFERS", "")
    headers = "include/flatbuffers"
    compilers = ["bin/flatc", "bin/flatc.exe", "tools/flatbuffers/flatc", "tools/flatbuffers/flatc.exe"]
    if folder == "":
        folder = "/usr"
        compilers = ["bin/flatc"]
    found = [path for path in compilers if ctx.path(folder + "/" + path).exists]
    if not found or not ctx.path(folder + "/" + headers).exists:
        fail("%s has no %s, or none of %s: tools/setup installs libflatbuffers-dev and flatbuffers-compiler; " % (folder, headers, ", ".join(compilers)) +
             "elsewhere, BROOD_FLATBUFFERS names a folder that has them")
    ctx.symlink(folder + "/" + headers, headers)
    ctx.symlink(folder + "/" + found[0], "bin/" + found[0].split("/")[-1])
    _finish(ctx)

_flatbuffers_repo = repository_rule(
    implementation = _flatbuffers_repo_impl,
    attrs = {"build_file": attr.label(mandatory = True, allow_single_file = True)},
    environ = ["BROOD_FLATBUFFERS"],
    local = True,
)

def flatbuffers():
    _flatbuffers_repo(
        name = "flatbuffers",
        build_file = "//third_party:flatbuffers.BUILD",
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
