// The frozen memory of this process, which can be given back its content at any time: what was written since is forgotten. See
// forkserver/freeze.h.
#ifndef BROOD_LAUNCHER_JOBS_IMAGE_H_
#define BROOD_LAUNCHER_JOBS_IMAGE_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"

namespace brood::internal {

// In memory that is not part of it.
struct Image {
  static constexpr size_t kMaxRanges = 512;
  static constexpr size_t kMaxHot = 96;
  static constexpr size_t kPage = 4096;
  struct Range {
    uintptr_t start = 0;
    size_t size = 0;
  };
  Range ranges[kMaxRanges];
  size_t range_count = 0;
  int* thread_id = nullptr;  // The C library's record of it.
  int own_thread = 0;        // What that is to say.

  // Pages that every job writes to, as the C library's own, and small mappings: they stay this process's, and are copied back.
  uintptr_t hot[kMaxHot];
  size_t hot_count = 0;
  bool hot_known = false;
  Range rest[kMaxRanges + kMaxHot];  // `ranges` without these.
  size_t rest_count = 0;
  alignas(kPage) char saved[kMaxHot][kPage];

  // Of a process with one thread. Errors: FailedPrecondition (nothing is frozen, or something that can be written to is not, which).
  absl::Status Find();

  // Whatever is on the heap, in static memory, or thread-local, is as it was when the server was frozen: of the caller's, only
  // what is on its stack is left. Nothing may be used after it that was made before, but that.
  void Rewind() const;

  // After a job that has called the kernel: its forks are not to lack a part of it. madvise(2), MADV_DONTFORK
  void ForgetAdvice() const;

  // After a job, before its rewind: notes what it has written to, of what earlier ones have. `pagemap`: /proc/self/pagemap.
  void NoteWritten(int pagemap);

  // Right after a rewind, once a few jobs were noted.
  void SaveHot();

  // As Rewind, after SaveHot, and if no mapping can have changed since.
  void RewindKnown() const;

 private:
  void TellWhoWeAre() const;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_JOBS_IMAGE_H_
