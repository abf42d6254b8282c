// What the kernel tells of a process's mappings: proc(5), /proc/PID/smaps.
#ifndef BROOD_FORKSERVER_SMAPS_H_
#define BROOD_FORKSERVER_SMAPS_H_

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace brood::internal {

struct Mapping {
  uintptr_t start = 0;
  uintptr_t end = 0;
  uint64_t offset = 0;  // In the file, if it has one.
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;
  std::string_view file;  // Device and inode, "00:01 38". Of nothing: "00:00 0".
  std::string_view name;  // "[heap]", "/lib/x.so", "/memfd:x (deleted)"; empty for anonymous memory.
  std::string_view flags;  // " rd wr mr mw me ac"
  uint64_t rss_bytes = 0;
  uint64_t anonymous_bytes = 0;  // In pages that are this process's own.
  uint64_t swap_bytes = 0;
  uint64_t shmem_huge_bytes = 0;
  int protection_key = 0;

  size_t size() const { return end - start; }
  bool has_file() const { return !name.empty() && name.front() == '/'; }
  bool Has(std::string_view flag) const;  // Of the two letters that proc(5) lists under VmFlags.
};

// Of the text of an smaps file, with views into it. Uses no memory but that of `memory`.
//
// Errors: DataLoss (this is no smaps file, or of a kernel that was built without what we need).
absl::StatusOr<std::pmr::vector<Mapping>> ParseSmaps(std::string_view text, std::pmr::memory_resource* memory);

// Reads /proc/self/smaps into `buffer`. Uses no other memory. Errors: those of open(2) and read(2); ResourceExhausted (the
// buffer is too small).
absl::StatusOr<std::string_view> ReadSmaps(char* buffer, size_t size);

// The same with memory of its own.
absl::StatusOr<std::string> ReadSmaps();

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_SMAPS_H_
