// Memory for preloaded data whose size a fork does not see.
//
//   BROOD_ASSIGN_OR_RETURN(const std::unique_ptr<PreloadArena> arena, PreloadArena::Create({}));
//   std::pmr::vector<Row> table(arena.get());
//   ... fill the table ...
//   BROOD_ASSIGN_OR_RETURN(const PreloadArena::Report report, arena->Seal());   // from now on, fork
//
// It is one memory file. Sealed, nobody can change the file, and what was filled is a private view of it at the same
// addresses: each process that writes gets its own copy of the page. Since such a view can be rebuilt from the file, fork(2)
// copies no page table for it, as it must for memory that only page tables know: of 1 GiB, tens of milliseconds.
//
// What to know:
// - A write by the preloading process itself after Seal() gives the view memory of its own, and forks copy page tables for
//   all of it that has been touched since. See WrittenBytes().
// - A child pays a fault where it touches pages first, one for each 2 MiB with huge pages.
// - Before Seal() the memory is shared and not inherited: a child forked until then has no mapping there (MADV_DONTFORK), and
//   dies by SIGSEGV rather than write into what all will see.
// - MADV_DONTNEED gives back what was sealed, not zeros. Core dumps leave out pages that were not written, unless bit 2 of
//   /proc/PID/coredump_filter is set. core(5)
// - The file is charged once, to the memory cgroup of the process that fills it.
//
// Not thread-safe, as any std::pmr resource that does not say otherwise.
#ifndef BROOD_FORKSERVER_PRELOAD_ARENA_H_
#define BROOD_FORKSERVER_PRELOAD_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <utility>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood {

class PreloadArena final : public std::pmr::memory_resource {
 public:
  enum class HugePages {
    kWhereTheyCan,  // Small ones where the kernel has none to give.
    kNever,
  };
  struct Options {
    uint64_t reserve_bytes = uint64_t{64} << 30;  // Of addresses, not of memory. More than that does not fit.
    HugePages huge_pages = HugePages::kWhereTheyCan;
    // What is allocated after Seal() comes from here. Must outlive the arena.
    std::pmr::memory_resource* later = std::pmr::new_delete_resource();
  };
  struct Report {
    uint64_t used_bytes = 0;
    uint64_t mapped_bytes = 0;  // used_bytes in whole pages.
    uint64_t huge_bytes = 0;    // Of these, in huge pages.
  };

  // Errors: ResourceExhausted (descriptors, or addresses: see `ulimit -v` and reserve_bytes), Unimplemented (no
  //   memfd_create).
  static absl::StatusOr<std::unique_ptr<PreloadArena>> Create(const Options& options);

  // Unmaps all that was allocated before Seal().
  ~PreloadArena() override;
  PreloadArena(const PreloadArena&) = delete;
  PreloadArena& operator=(const PreloadArena&) = delete;

  // Makes what was allocated so far private to each process, and the file unchangeable. Again: the same report.
  //
  // Errors: FailedPrecondition (somebody else maps the file for writing), ResourceExhausted. What was allocated stays as it
  //   was; more does not fit.
  absl::StatusOr<Report> Seal();

  bool sealed() const { return sealed_; }
  bool Holds(const void* pointer) const;

  // How much of the sealed memory this process has pages of its own for, because it, or one that it was forked from, wrote
  // there. Errors: those of reading /proc/self/smaps; FailedPrecondition before Seal().
  absl::StatusOr<uint64_t> WrittenBytes() const;

 private:
  PreloadArena(const Options& options, UniqueFd file) : options_(options), file_(std::move(file)) {}

  // std::bad_alloc if there is no memory, no address, or RLIMIT_FSIZE forbids a file of that size.
  void* do_allocate(size_t bytes, size_t alignment) override;
  // Only the last block is given back, and only before Seal().
  void do_deallocate(void* pointer, size_t bytes, size_t alignment) override;
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  bool Grow(size_t size);
  bool Back(size_t from, size_t to);

  const Options options_;
  UniqueFd file_;
  char* base_ = nullptr;
  size_t reserved_ = 0;  // Mapped at base_, beyond the end of the file, too, until Seal().
  size_t backed_ = 0;    // The size of the file, which has pages for all of it.
  size_t used_ = 0;
  size_t huge_ = 0;
  bool sealed_ = false;
};

}  // namespace brood

#endif  // BROOD_FORKSERVER_PRELOAD_ARENA_H_
