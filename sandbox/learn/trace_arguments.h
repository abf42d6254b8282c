// What the arguments of a traced process's system call point to.
#ifndef BROOD_SANDBOX_LEARN_TRACE_ARGUMENTS_H_
#define BROOD_SANDBOX_LEARN_TRACE_ARGUMENTS_H_

#include <sys/types.h>

#include <string>

#include "sandbox/learn/trace.h"

namespace brood {

// Fills in what `call` names, a path or an address, from the memory of `pid`, which is about to make it.
void ReadArguments(pid_t pid, TracedCall& call);

// Fills in what there is once `pid` has made it.
void ReadResult(pid_t pid, TracedCall& call);

// As ps(1) shows it; "" if it is gone.
std::string ProgramName(pid_t pid);

// "" if it is none that can be read.
std::string LinkTarget(const std::string& path);

// The loader that the kernel starts for a program, and "#!/bin/sh -e" -> "/bin/sh"; "" if there is none.
std::string LoaderOf(const std::string& program);
std::string InterpreterOf(const std::string& script);

}  // namespace brood

#endif  // BROOD_SANDBOX_LEARN_TRACE_ARGUMENTS_H_
