#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include <memory_resource>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "forkserver/smaps.h"
#include "launcher/jobs/image.h"

namespace brood::internal {
namespace {

// So that a job which frees a large block of the image does not take its mapping away: the C library bears it that it cannot.
// Where the kernel has no mseal(2), before Linux 6.10, such a job is the worker's last.
void Seal(const Image& image) {
  constexpr long kMseal = 462;  // On all architectures but Alpha. asm/unistd.h
  for (size_t i = 0; i < image.range_count; ++i) syscall(kMseal, image.ranges[i].start, image.ranges[i].size, 0);
}

}  // namespace

absl::Status Image::Find() {
  BROOD_ASSIGN_OR_RETURN(const std::string smaps, ReadSmaps());
  BROOD_ASSIGN_OR_RETURN(const auto mappings, ParseSmaps(smaps, std::pmr::get_default_resource()));
  bool frozen = false;
  for (const Mapping& mapping : mappings) {
    if (!mapping.writable || mapping.shared || mapping.name == "[stack]" || mapping.Has("wf")) continue;
    const bool is_ours = absl::StartsWith(mapping.name, "/memfd:brood-frozen") || absl::StartsWith(mapping.name, "/memfd:brood-preload");
    frozen = frozen || absl::StartsWith(mapping.name, "/memfd:brood-frozen");
    // What the heap has got since is given back by Rewind.
    if (mapping.name == "[heap]") continue;
    if (!is_ours) {
      return absl::FailedPreconditionError(absl::StrCat(
          "rewound worker: ", mapping.size() >> 10, " KiB of memory that can be written to are not frozen: ",
          mapping.name.empty() ? "anonymous, which this child has mapped, or which freezing has left as it was" : mapping.name));
    }
    if (range_count == kMaxRanges) return absl::FailedPreconditionError("rewound worker: there are too many mappings");
    ranges[range_count++] = {.start = mapping.start, .size = mapping.size()};
  }
  if (!frozen) {
    return absl::FailedPreconditionError("rewound worker: its server is not frozen; it takes a Context of start method forkserver with "
                                         "ContextOptions::freeze");
  }
  if (prctl(PR_GET_TID_ADDRESS, &thread_id, 0, 0, 0) != 0) return ErrnoStatus(errno, "PR_GET_TID_ADDRESS");
  Seal(*this);
  return absl::OkStatus();
}

void Image::Rewind() const {
  for (size_t i = 0; i < range_count; ++i) {
    madvise(reinterpret_cast<void*>(ranges[i].start), ranges[i].size, MADV_DONTNEED);
  }
  // What the C library has on record of this thread is that of the server's: its number, and, where the kernel writes it, the
  // processor. The kernel writes that when it has to, so it is told anew where. rseq(2)
  *thread_id = static_cast<int>(syscall(SYS_gettid));
  if (__rseq_size != 0) {
    void* const area = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
    constexpr int kUnregister = 1;
    if (syscall(SYS_rseq, area, 32, kUnregister, RSEQ_SIG) == 0) syscall(SYS_rseq, area, 32, 0, RSEQ_SIG);
  }
  // The C library's record of the end of its heap is the server's too; what lies behind is nobody's.
  syscall(SYS_brk, sbrk(0));
}

}  // namespace brood::internal
