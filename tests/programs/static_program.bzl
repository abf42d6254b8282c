"""A C program of one file that needs nothing but the kernel, so that it runs in any root."""

def static_program(name):
    command = "$(CC) -std=gnu11 -O2 -Wall -Wextra%s -I. -static -pthread -o $@ $(location {}.c)".format(name)

    # A genrule, since the flags of a sanitizer configuration can't be taken back from a cc_binary, and no sanitizer can
    # be linked statically. What hostile programs do is undefined on purpose, too.
    native.genrule(
        name = name,
        srcs = [
            name + ".c",
            "attack.h",
        ],
        outs = ["bin/" + name],
        cmd = select({
            ":werror": command % " -Werror",
            "//conditions:default": command % "",
        }),
        executable = True,
        message = "Compiling",
        toolchains = ["@rules_cc//cc:current_cc_toolchain"],
    )
