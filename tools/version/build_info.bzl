"""What only the build knows, as a header."""

def _build_info_impl(ctx):
    header = ctx.actions.declare_file(ctx.label.name + ".h")
    ctx.actions.run_shell(
        arguments = [ctx.file.module.path, ctx.info_file.path, header.path, ctx.var["COMPILATION_MODE"]],
        command = """set -eu
version=$(sed -n '/^module(/,/^)/ s/^ *version = "\\(.*\\)",$/\\1/p' "$1")
commit=$(sed -n 's/^STABLE_BROOD_COMMIT //p' "$2")
{
  echo "#define BROOD_VERSION \\"${version:?}\\""
  echo "#define BROOD_COMMIT \\"${commit:-unknown}\\""
  echo "#define BROOD_COMPILATION_MODE \\"$4\\""
} > "$3"
""",
        inputs = [ctx.file.module, ctx.info_file],
        mnemonic = "BuildInfo",
        outputs = [header],
    )
    return [DefaultInfo(files = depset([header]))]

build_info = rule(
    doc = "NAME.h with BROOD_VERSION (MODULE.bazel's), BROOD_COMMIT (tools/workspace_status.sh) and BROOD_COMPILATION_MODE.",
    implementation = _build_info_impl,
    attrs = {"module": attr.label(allow_single_file = True, mandatory = True)},
)
