// Files of BPF bytes, filters of system calls that somebody else has made: what seccomp_export_bpf(3) writes, and others take by
// `bwrap --seccomp`.
#ifndef BROOD_BATCH_BPF_FILES_H_
#define BROOD_BATCH_BPF_FILES_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sandbox/policy.h"

namespace brood {

// Reads the programs of those that have a path alone. Errors: InvalidArgument (the path is not absolute), those of ReadFile().
absl::Status LoadBpfFiles(std::vector<BpfFile>& files);

// Of a command line: a path may be relative, and `/dev/fd/N`, as a shell's <(...) gives it. Errors: those of ReadFile(),
// InvalidArgument naming file and instruction of what the kernel would not take.
absl::StatusOr<BpfFile> ReadBpfOption(std::string_view path);

}  // namespace brood

#endif  // BROOD_BATCH_BPF_FILES_H_
