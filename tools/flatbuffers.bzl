"""Rules over flatc. Generated code is never committed: it asserts the version of the FlatBuffers headers."""

load("@rules_cc//cc:cc_library.bzl", "cc_library")

# flatc resolves `include "serialization/types.fbs";` against the root of the tree, as #include does.
FbsInfo = provider(
    doc = "A schema and the schemas that it includes.",
    fields = {"schemas": "depset of .fbs files"},
)

def _fbs_schema_impl(ctx):
    schemas = depset([ctx.file.src], transitive = [dep[FbsInfo].schemas for dep in ctx.attr.deps])
    return [FbsInfo(schemas = schemas), DefaultInfo(files = depset([ctx.file.src]))]

_fbs_schema = rule(
    implementation = _fbs_schema_impl,
    attrs = {
        "deps": attr.label_list(providers = [FbsInfo]),
        "src": attr.label(allow_single_file = [".fbs"], mandatory = True),
    },
)

def _fbs_header_impl(ctx):
    src = ctx.file.src
    header = ctx.actions.declare_file(src.basename[:-len(".fbs")] + "_generated.h")
    args = ctx.actions.args()

    # Names of fields: tests compare a schema with what is read and written of it.
    args.add_all(["--cpp", "--cpp-std", "c++17", "--scoped-enums", "--keep-prefix", "--reflect-names", "-I", "."])
    if ctx.attr.object_api:
        args.add("--gen-object-api")
    args.add("-o", header.dirname)
    args.add(src)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._flatc,
        inputs = ctx.attr.schema[FbsInfo].schemas,
        mnemonic = "FlatcCc",
        outputs = [header],
        progress_message = "Generating C++ from " + src.short_path,
    )
    return [DefaultInfo(files = depset([header]))]

_fbs_header = rule(
    implementation = _fbs_header_impl,
    attrs = {
        "object_api": attr.bool(),
        "schema": attr.label(mandatory = True, providers = [FbsInfo]),
        "src": attr.label(allow_single_file = [".fbs"], mandatory = True),
        "_flatc": attr.label(cfg = "exec", default = "@flatbuffers//:flatc", executable = True),
    },
)

def fbs_cc_library(name, src, deps = [], object_api = False, visibility = None, **kwargs):
    """C++ for one schema: `#include "PACKAGE/SRC_generated.h"`.

    Args:
      name: of the cc_library.
      src: the .fbs file. It includes others by their path from the root of the tree.
      deps: the fbs_cc_library of each included schema.
      object_api: also generate the ...T structs, with Pack and UnPack.
      visibility: of all that this makes.
      **kwargs: for the cc_library.
    """
    _fbs_schema(
        name = name + "_schema",
        src = src,
        visibility = visibility,
        deps = [dep + "_schema" for dep in [_full(dep) for dep in deps]],
    )
    _fbs_header(
        name = name + "_header",
        src = src,
        object_api = object_api,
        schema = name + "_schema",
        visibility = ["//visibility:private"],
    )
    cc_library(
        name = name,
        hdrs = [name + "_header"],
        visibility = visibility,
        deps = deps + ["@flatbuffers"],
        **kwargs
    )

# "//a/b" is "//a/b:b".
def _full(label):
    return label if ":" in label else label + ":" + label.split("/")[-1]

def _fbs_binary_impl(ctx):
    json = ctx.file.json
    out = ctx.actions.declare_file(ctx.label.name + ".bin")
    schemas = ctx.attr.schema[FbsInfo].schemas
    root = ctx.attr.schema[DefaultInfo].files

    # flatc names its output after the JSON file, in a folder of our choice.
    base = json.basename[:json.basename.rindex(".")]
    ctx.actions.run_shell(
        arguments = [ctx.executable._flatc.path, json.path, root.to_list()[0].path, out.path, base],
        command = """set -e
"$1" --binary --strict-json --force-defaults -I . -o "$4.dir/" "$3" "$2"
cat "$4.dir/$5".* > "$4"
rm -r "$4.dir" """,
        inputs = depset([json], transitive = [schemas]),
        mnemonic = "FlatcBinary",
        outputs = [out],
        progress_message = "Converting " + json.short_path,
        tools = [ctx.executable._flatc],
    )
    return [DefaultInfo(files = depset([out]))]

_fbs_binary = rule(
    implementation = _fbs_binary_impl,
    attrs = {
        "json": attr.label(allow_single_file = [".json"], mandatory = True),
        "schema": attr.label(mandatory = True, providers = [FbsInfo]),
        "_flatc": attr.label(cfg = "exec", default = "@flatbuffers//:flatc", executable = True),
    },
)

def fbs_binary(name, schema, json, **kwargs):
    """A JSON file as a FlatBuffer, `NAME.bin`, of the root type of a schema.

    Args:
      name: of the target.
      schema: the fbs_cc_library of the schema.
      json: the JSON file; unknown fields are errors.
      **kwargs: visibility and the like.
    """
    _fbs_binary(
        name = name,
        json = json,
        schema = _full(schema) + "_schema",
        **kwargs
    )
