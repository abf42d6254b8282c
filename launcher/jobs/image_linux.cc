#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory_resource>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "forkserver/smaps.h"
#include "launcher/jobs/image.h"

namespace brood::internal {
namespace {

constexpr size_t kAreaBytes = 32;  // Of glibc's registration; aligned to as much. rseq(2)

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
  own_thread = static_cast<int>(syscall(SYS_gettid));
  if (prctl(PR_GET_TID_ADDRESS, &thread_id, 0, 0, 0) != 0) return ErrnoStatus(errno, "PR_GET_TID_ADDRESS");
  Seal(*this);
  return absl::OkStatus();
}

void Image::Rewind() const {
  for (size_t i = 0; i < range_count; ++i) {
    madvise(reinterpret_cast<void*>(ranges[i].start), ranges[i].size, MADV_DONTNEED);
  }
  TellWhoWeAre();
}

void Image::ForgetAdvice() const {
  for (size_t i = 0; i < range_count; ++i) madvise(reinterpret_cast<void*>(ranges[i].start), ranges[i].size, MADV_DOFORK);
}

// What the C library has on record of this thread is that of the server's: its number, and, where the kernel writes it, the
// processor. The kernel writes that when it has to, so it is told anew where. rseq(2)
void Image::TellWhoWeAre() const {
  *thread_id = own_thread;
  if (__rseq_size != 0) {
    void* const area = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
    constexpr int kUnregister = 1;
    syscall(SYS_rseq, area, kAreaBytes, kUnregister, RSEQ_SIG);  // Which a job may have done.
    syscall(SYS_rseq, area, kAreaBytes, 0, RSEQ_SIG);
  }
  // The C library's record of the end of its heap is the server's too; what lies behind is nobody's.
  syscall(SYS_brk, sbrk(0));
}

void Image::NoteWritten(int pagemap) {
  constexpr size_t kLargest = size_t{4} << 30;  // Of what is looked through: eight bytes for each page are read.
  constexpr size_t kSmall = 16;  // Pages.
  constexpr size_t kSome = 512;
  constexpr uint64_t kPresent = uint64_t{1} << 63, kOfFile = uint64_t{1} << 61;  // proc(5), /proc/PID/pagemap
  const bool first = !hot_known;
  if (first) hot_count = 0;
  bool seen[kMaxHot] = {};
  for (size_t i = 0; i < range_count; ++i) {
    if (ranges[i].size > kLargest) continue;
    const size_t pages = ranges[i].size / kPage;
    // To copy all of a small one back is less than to ask the kernel once, and then to fault for what is only read.
    const bool all = pages <= kSmall;
    for (size_t at = 0; at < pages; at += kSome) {
      uint64_t entries[kSome];
      const size_t count = std::min(kSome, pages - at);
      const size_t from = (ranges[i].start / kPage + at) * sizeof(uint64_t);
      if (pread(pagemap, entries, count * sizeof(uint64_t), static_cast<off_t>(from)) != static_cast<ssize_t>(count * sizeof(uint64_t))) return;
      for (size_t j = 0; j < count; ++j) {
        if (!all && (entries[j] & (kPresent | kOfFile)) != kPresent) continue;
        const uintptr_t page = ranges[i].start + (at + j) * kPage;
        if (first && hot_count < kMaxHot) hot[hot_count++] = page;
        const uintptr_t* const found = std::lower_bound(&hot[0], &hot[hot_count], page);
        if (found != &hot[hot_count] && *found == page) seen[found - hot] = true;
      }
    }
  }
  hot_known = true;
  size_t kept = 0;
  for (size_t i = 0; i < hot_count; ++i) {
    if (seen[i]) hot[kept++] = hot[i];
  }
  hot_count = kept;
}

void Image::SaveHot() {
  rest_count = 0;
  size_t next = 0;
  for (size_t i = 0; i < range_count; ++i) {
    uintptr_t at = ranges[i].start;
    const uintptr_t end = at + ranges[i].size;
    for (; next < hot_count && hot[next] < end; ++next) {
      if (hot[next] > at) rest[rest_count++] = {.start = at, .size = hot[next] - at};
      at = hot[next] + kPage;
    }
    if (end > at) rest[rest_count++] = {.start = at, .size = end - at};
  }
  for (size_t i = 0; i < hot_count; ++i) memcpy(saved[i], reinterpret_cast<const void*>(hot[i]), kPage);
}

void Image::RewindKnown() const {
  for (size_t i = 0; i < rest_count; ++i) madvise(reinterpret_cast<void*>(rest[i].start), rest[i].size, MADV_DONTNEED);
  // Not over what the kernel writes, which it may do at any time: the area of restartable sequences.
  const uintptr_t area = __rseq_size != 0 ? reinterpret_cast<uintptr_t>(__builtin_thread_pointer()) + static_cast<uintptr_t>(__rseq_offset) : 0;
  for (size_t i = 0; i < hot_count; ++i) {
    const uintptr_t offset = area - hot[i];  // Huge if it lies before.
    if (offset > kPage - kAreaBytes) {
      memcpy(reinterpret_cast<void*>(hot[i]), saved[i], kPage);
      continue;
    }
    memcpy(reinterpret_cast<void*>(hot[i]), saved[i], offset);
    const uintptr_t after = offset + kAreaBytes;
    memcpy(reinterpret_cast<void*>(hot[i] + after), saved[i] + after, kPage - after);
  }
  *thread_id = own_thread;
  syscall(SYS_brk, sbrk(0));
}

}  // namespace brood::internal
