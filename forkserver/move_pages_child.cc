#include "forkserver/move_pages_child.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <cerrno>

#include "base/raw_syscall_child.h"

namespace brood::child {
namespace {

constexpr uint64_t kPresentOrSwapped = uint64_t{3} << 62;  // proc(5), /proc/PID/pagemap

// A part of one mapping that fits into the window.
struct Part {
  uintptr_t start = 0;
  size_t length = 0;
  uint64_t offset = 0;
};

// Which pages hold something, for all to see in `entries`: 0 for none. Returns 0 or an errno value.
int FindPages(const MovePages& work, const MovedMapping& mapping, const Part& part) {
  const size_t pages = part.length / work.page_size;
  if (mapping.from_file) {
    for (size_t i = 0; i < pages; ++i) work.entries[i] = 1;
    return 0;
  }
  size_t done = 0;
  while (done < pages * 8) {
    const long n = RawSyscall(SYS_pread64, work.pagemap, reinterpret_cast<char*>(work.entries) + done, uint64_t{pages * 8 - done},
                              uint64_t{part.start / work.page_size * 8 + done});
    if (n <= 0) return n < 0 ? static_cast<int>(-n) : EIO;
    done += static_cast<size_t>(n);
  }
  for (size_t i = 0; i < pages; ++i) work.entries[i] &= kPresentOrSwapped;
  return 0;
}

// The first page at or after `page`, below `end`, that holds something, or that does not.
size_t Next(const MovePages& work, size_t page, size_t end, bool full) {
  while (page < end && (work.entries[page] != 0) != full) ++page;
  return page;
}

// Gives those blocks huge pages for which it pays.
void MakeHugeWherePaying(MovePages& work, const Part& part) {
  const uintptr_t first = (part.start + kHugeBlock - 1) & ~(kHugeBlock - 1);
  const uintptr_t part_end = part.start + part.length;
  if (first >= part_end || part_end - first < kHugeBlock) return;
  const uint64_t offset = part.offset + (first - part.start);
  const size_t length = (part_end - first) & ~(kHugeBlock - 1);
  if (RawSyscall(SYS_mmap, work.window, uint64_t{length}, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, work.file, offset) < 0) {
    return;
  }
  const size_t block_pages = kHugeBlock / work.page_size;
  const size_t skipped_pages = (first - part.start) / work.page_size;
  size_t begin = 0, at = 0;
  const auto flush = [&] {
    if (at > begin && MakeHuge(work.file, work.window + begin, at - begin, offset + begin)) work.huge_bytes += at - begin;
  };
  for (; at < length; at += kHugeBlock) {
    const uint64_t* const entries = work.entries + skipped_pages + at / work.page_size;
    size_t full = 0;
    for (size_t i = 0; i < block_pages; ++i) full += entries[i] != 0;
    if (full >= block_pages / 2) continue;
    flush();
    begin = at + kHugeBlock;
  }
  flush();
  // A shared writable mapping would keep the file from being sealed.
  RawSyscall(SYS_mmap, work.window, uint64_t{length}, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
             uint64_t{0});
}

int Copy(MovePages& work, const Part& part) {
  const size_t pages = part.length / work.page_size;
  for (size_t page = Next(work, 0, pages, true); page < pages;) {
    const size_t end = Next(work, page, pages, false);
    for (size_t at = page * work.page_size; at < end * work.page_size;) {
      const long n = RawSyscall(SYS_pwrite64, work.file, reinterpret_cast<const char*>(part.start) + at,
                                uint64_t{end * work.page_size - at}, uint64_t{part.offset + at});
      if (n == -EINTR) continue;
      if (n <= 0) return n < 0 ? static_cast<int>(-n) : EIO;
      at += static_cast<size_t>(n);
      work.copied_bytes += static_cast<uint64_t>(n);
    }
    page = Next(work, end, pages, true);
  }
  return 0;
}

// mmap(2) takes the old mapping away before it knows that it can make the new one. What was there is in the file, but
// nobody can go on without it.
void DieIfGone(uintptr_t address, size_t page_size) {
  unsigned char resident = 0;
  if (RawSyscall(SYS_mincore, uint64_t{address}, uint64_t{page_size}, &resident) != -ENOMEM) return;
  static constexpr char kText[] = "brood: freeze: the kernel took memory away and had none for what replaces it\n";
  RawSyscall(SYS_write, 2, kText, uint64_t{sizeof(kText) - 1});
  while (true) RawSyscall(SYS_exit_group, 125);
}

int Move(MovePages& work, const MovedMapping& mapping, const Part& part) {
  if (const int error = FindPages(work, mapping, part); error != 0) return error;
  if (work.huge) MakeHugeWherePaying(work, part);
  if (const int error = Copy(work, part); error != 0) return error;
  const int flags = MAP_PRIVATE | MAP_FIXED | (mapping.no_reserve ? MAP_NORESERVE : 0);
  const long mapped = RawSyscall(SYS_mmap, uint64_t{part.start}, uint64_t{part.length}, mapping.protection, flags, work.file,
                                 part.offset);
  if (mapped < 0) {
    DieIfGone(part.start, work.page_size);
    return static_cast<int>(-mapped);
  }
  for (const int advice : mapping.advice) {
    if (advice >= 0) RawSyscall(SYS_madvise, uint64_t{part.start}, uint64_t{part.length}, advice);
  }
  work.moved_bytes += part.length;
  return 0;
}

}  // namespace

void MoveIntoFile(MovePages* work) {
  for (size_t i = 0; i < work->count; ++i) {
    MovedMapping& mapping = work->mappings[i];
    for (uintptr_t at = mapping.start; at < mapping.end && mapping.error == 0;) {
      // Up to where a window ends that begins at a multiple of a huge page.
      const uintptr_t limit = (at & ~(kHugeBlock - 1)) + kMoveWindow;
      Part part;
      part.start = at;
      part.length = (limit < mapping.end ? limit : mapping.end) - at;
      part.offset = mapping.offset + (at - mapping.start);
      mapping.error = Move(*work, mapping, part);
      at += part.length;
    }
  }
}

bool Unregister(const RseqArea& area) {
  constexpr int kUnregister = 1;  // RSEQ_FLAG_UNREGISTER
  return area.address == nullptr ||
         RawSyscall(SYS_rseq, area.address, uint64_t{area.length}, kUnregister, uint64_t{area.signature}) == 0;
}

bool Register(const RseqArea& area) {
  return area.address == nullptr || RawSyscall(SYS_rseq, area.address, uint64_t{area.length}, 0, uint64_t{area.signature}) == 0;
}

}  // namespace brood::child
