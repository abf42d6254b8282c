"""mingw-w64 for Windows x86-64, as Debian installs it."""

load("@rules_cc//cc:action_names.bzl", "ACTION_NAMES")
load(
    "@rules_cc//cc:cc_toolchain_config_lib.bzl",
    "artifact_name_pattern",
    "feature",
    "flag_group",
    "flag_set",
    "tool_path",
    "with_feature_set",
)
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/toolchains:cc_toolchain_config_info.bzl", "CcToolchainConfigInfo")

_COMPILE = [
    ACTION_NAMES.assemble,
    ACTION_NAMES.c_compile,
    ACTION_NAMES.cpp_compile,
    ACTION_NAMES.cpp_header_parsing,
    ACTION_NAMES.preprocess_assemble,
]
_LINK = [
    ACTION_NAMES.cpp_link_dynamic_library,
    ACTION_NAMES.cpp_link_executable,
    ACTION_NAMES.cpp_link_nodeps_dynamic_library,
]

def _flags(name, actions, flags, mode = None):
    """A feature that is on, or that is on with the compilation mode `mode`."""
    return feature(
        name = name,
        enabled = True,
        flag_sets = [flag_set(
            actions = actions,
            flag_groups = [flag_group(flags = flags)],
            with_features = [with_feature_set(features = [mode])] if mode else [],
        )],
    )

def _impl(ctx):
    prefix = ctx.attr.tool_prefix
    tools = {
        "ar": prefix + "ar",
        "cpp": prefix + "cpp-posix",
        "gcc": prefix + "g++-posix",
        "gcov": prefix + "gcov-posix",
        "ld": prefix + "ld",
        "nm": prefix + "nm",
        "objcopy": prefix + "objcopy",
        "objdump": prefix + "objdump",
        "strip": prefix + "strip",
    }
    features = [
        feature(name = "dbg"),
        feature(name = "fastbuild"),
        feature(name = "opt"),
        feature(name = "targets_windows", enabled = True),
        feature(name = "static_linking_mode", enabled = True),
        _flags("default_compile_flags", _COMPILE, [
            "-U_FORTIFY_SOURCE",
            "-fno-omit-frame-pointer",
            "-ffunction-sections",
            "-fdata-sections",
            # Windows 10: what a header declares depends on it.
            "-D_WIN32_WINNT=0x0A00",
            "-DWINVER=0x0A00",
            "-DUNICODE",
            "-D_UNICODE",
            "-DNOMINMAX",
            "-DWIN32_LEAN_AND_MEAN",
            # More sections than the old object format can count: every template is one.
            "-Wa,-mbig-obj",
        ]),
        # Static: a program that needs no DLL beside it runs on any machine. The libraries are Abseil's and brood's.
        _flags("default_link_flags", _LINK, ["-static", "-ladvapi32", "-lbcrypt", "-ldbghelp", "-lshell32", "-lws2_32"]),
        _flags("dbg_compile_flags", _COMPILE, ["-g"], mode = "dbg"),
        _flags("opt_compile_flags", _COMPILE, ["-O2", "-DNDEBUG"], mode = "opt"),
        _flags("unfiltered_compile_flags", _COMPILE, [
            # Else gcc reports headers by their real path, which Bazel does not expect.
            "-no-canonical-prefixes",
            "-fno-canonical-system-headers",
            "-Wno-builtin-macro-redefined",
            "-D__DATE__=\"redacted\"",
            "-D__TIMESTAMP__=\"redacted\"",
            "-D__TIME__=\"redacted\"",
        ]),
    ]
    patterns = {
        "dynamic_library": ("", ".dll"),
        "executable": ("", ".exe"),
        "interface_library": ("", ".if.lib"),
        "object_file": ("", ".o"),
        "static_library": ("lib", ".a"),
    }
    return cc_common.create_cc_toolchain_config_info(
        ctx = ctx,
        abi_libc_version = "local",
        abi_version = "local",
        artifact_name_patterns = [
            artifact_name_pattern(category_name = name, prefix = pattern[0], extension = pattern[1])
            for name, pattern in patterns.items()
        ],
        compiler = "mingw-gcc",
        cxx_builtin_include_directories = ctx.attr.include_directories,
        features = features,
        host_system_name = "local",
        target_cpu = "x64_windows_mingw",
        target_libc = "mingw",
        target_system_name = "x86_64-w64-mingw32",
        tool_paths = [tool_path(name = name, path = path) for name, path in tools.items()],
        toolchain_identifier = "mingw-w64-x86_64",
    )

mingw_toolchain_config = rule(
    implementation = _impl,
    attrs = {
        "include_directories": attr.string_list(),
        "tool_prefix": attr.string(mandatory = True),
    },
    provides = [CcToolchainConfigInfo],
)
