"""A static C program of several files; see //tests/programs:static_program.bzl for why it is a genrule."""

def attack_program(name, srcs, hdrs):
    command = ("$(CC) -std=gnu11 -O1 -Wall -Wextra%s -I. -static -pthread -o $@ " +
               " ".join(["$(location %s)" % src for src in srcs]))
    native.genrule(
        name = name,
        srcs = srcs + hdrs,
        outs = ["bin/" + name],
        cmd = select({
            "//tests/programs:werror": command % " -Werror",
            "//conditions:default": command % "",
        }),
        executable = True,
        message = "Compiling",
        toolchains = ["@rules_cc//cc:current_cc_toolchain"],
    )
