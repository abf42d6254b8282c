"""A C program of one file that needs nothing but the kernel, so that it runs in any root."""

def static_program(name):
    # A genrule, since the flags of a sanitizer configuration can't be taken back from a cc_binary, and no sanitizer can
    # be linked statically. What hostile programs do is undefined on purpose, too.
    native.genrule(
        name = name,
        srcs = [
            name + ".c",
            "attack.h",
        ],
        outs = ["bin/" + name],
        cmd = "$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -I. -static -pthread -o $@ $(location %s.c)" % name,
        executable = True,
        message = "Compiling",
        toolchains = ["@bazel_tools//tools/cpp:current_cc_toolchain"],
    )
