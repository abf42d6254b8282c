"""Files as constants in a program."""

load("@rules_cc//cc:cc_library.bzl", "cc_library")

def _embed_impl(ctx):
    header = ctx.actions.declare_file(ctx.attr.header)
    source = ctx.actions.declare_file(ctx.label.name + ".cc")
    args = ctx.actions.args()
    args.add_all([header.path, source.path, header.short_path, ctx.attr.namespace])
    inputs = []
    for src, symbol in ctx.attr.srcs.items():
        file = src[DefaultInfo].files.to_list()[0]
        inputs.append(file)
        args.add(symbol)
        args.add(file)
    ctx.actions.run_shell(
        arguments = [ctx.file._script.path, args],
        command = 'exec python3 "$@"',
        inputs = inputs + [ctx.file._script],
        mnemonic = "Embed",
        outputs = [header, source],
    )
    return [DefaultInfo(files = depset([header, source])), OutputGroupInfo(header = depset([header]), source = depset([source]))]

_embed = rule(
    implementation = _embed_impl,
    attrs = {
        "header": attr.string(mandatory = True),
        "namespace": attr.string(mandatory = True),
        "srcs": attr.label_keyed_string_dict(allow_files = True, mandatory = True),
        "_script": attr.label(allow_single_file = True, default = "//tools:embed.py"),
    },
)

def embed_bytes(name, srcs, namespace = "brood", **kwargs):
    """A cc_library with one `inline std::string_view SYMBOL()` per file: `#include "PACKAGE/NAME.h"`.

    The bytes end in a NUL that is not counted, and are aligned to 16, so that a FlatBuffer can be read in place.

    Args:
      name: of the cc_library, and of its header.
      srcs: {file: symbol}.
      namespace: of the functions.
      **kwargs: for the cc_library.
    """
    _embed(
        name = name + "_gen",
        srcs = srcs,
        header = name + ".h",
        namespace = namespace,
        visibility = ["//visibility:private"],
    )
    for part in ["header", "source"]:
        native.filegroup(
            name = name + "_" + part,
            srcs = [name + "_gen"],
            output_group = part,
            visibility = ["//visibility:private"],
        )
    cc_library(
        name = name,
        srcs = [name + "_source"],
        hdrs = [name + "_header"],
        **kwargs
    )
