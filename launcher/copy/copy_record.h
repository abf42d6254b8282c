// Files that go into a child's own root before it starts, and out of it when its tree is gone, in the form that init and
// guardian carry out.
#ifndef BROOD_LAUNCHER_COPY_COPY_RECORD_H_
#define BROOD_LAUNCHER_COPY_COPY_RECORD_H_

#include <cstddef>
#include <cstdint>

namespace brood {

inline constexpr size_t kMaxCopies = 16;  // Of each kind.

struct CopyInRecord {
  int source = -1;                    // Open for reading, at its beginning.
  const char* destination = nullptr;  // Absolute, inside.
  uint32_t mode = 0644;
};

struct CopyOutRecord {
  const char* source = nullptr;  // Absolute, inside.
  int sink = -1;
  uint64_t max_bytes = 0;
};

struct CopyRecord {
  CopyInRecord in[kMaxCopies];
  size_t in_count = 0;
  CopyOutRecord out[kMaxCopies];
  size_t out_count = 0;
};

enum class CopyProblem : uint32_t {
  kNone,
  kNotTried,     // The child was not started, or its tree could not be ended.
  kFailed,       // See the errno.
  kNoFile,       // A directory, FIFO, device, socket, or a file of the kernel's.
  kSeveralNames, // A hard link: it may be a file that the child could not read.
  kTooLarge,
  kSink,         // The destination could not take it. See the errno.
};

struct CopyResult {
  uint64_t bytes = 0;  // kNone: copied. kTooLarge: its size.
  CopyProblem problem = CopyProblem::kNotTried;
  int32_t error_number = 0;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_COPY_COPY_RECORD_H_
