#include <sys/mman.h>

#include "forkserver/freeze_plan.h"

namespace brood::internal {
namespace {

using child::kHugeBlock;

// Neighbours lie next to each other in the file, too, so that the kernel makes one mapping of them. After each run of them
// there is room in which nothing lies: mremap(2) extends a mapping to what follows in the file, and a program expects zeros
// there, as realloc(3) of a large block does.
constexpr int kRoomBits = 40;
constexpr uint64_t kLargestRun = uint64_t{1} << (kRoomBits - 1);

// A mapping of which less than this part is our own is left, as moving would copy all of it.
constexpr uint64_t kLeastPart = 8;
constexpr uint64_t kSmall = uint64_t{1} << 20;  // Up to here that is no reason.

struct FlagReason {
  std::string_view flag;
  const char* reason;
};
constexpr FlagReason kReasons[] = {
    {"gd", "grows down, as the stack does"},
    {"ht", "huge pages of hugetlbfs"},
    {"pf", "memory of a device"},
    {"io", "memory of a device"},
    {"mm", "memory of a device"},
    {"dc", "not inherited (MADV_DONTFORK)"},
    {"wf", "wiped in children (MADV_WIPEONFORK)"},
    {"lo", "locked into memory (mlock)"},
    {"um", "watched (userfaultfd)"},
    {"uw", "watched (userfaultfd)"},
    {"ui", "watched (userfaultfd)"},
    {"ss", "a shadow stack"},
    {"sl", "sealed (mseal)"},
    {"gu", "has guard pages (MADV_GUARD_INSTALL)"},
    {"dp", "may be dropped (MAP_DROPPABLE)"},
    {"mt", "has memory tags"},
    {"mg", "shared by content (MADV_MERGEABLE)"},
    {"nl", "a mapping that is not linear"},
};

struct FlagAdvice {
  std::string_view flag;
  int advice;
};
constexpr FlagAdvice kAdvice[] = {
    {"dd", MADV_DONTDUMP}, {"hg", MADV_HUGEPAGE}, {"nh", MADV_NOHUGEPAGE}, {"sr", MADV_SEQUENTIAL}, {"rr", MADV_RANDOM},
};

uint64_t OwnBytes(const Mapping& mapping) { return mapping.anonymous_bytes + mapping.swap_bytes; }

bool Overlaps(const Mapping& mapping, const FreezeOptions::Region& region) {
  const auto start = reinterpret_cast<uintptr_t>(region.address);
  return start < mapping.end && start + region.bytes > mapping.start;
}

child::MovedMapping Moved(const Mapping& mapping) {
  child::MovedMapping moved;
  moved.start = mapping.start;
  moved.end = mapping.end;
  moved.protection = PROT_READ | (mapping.writable ? PROT_WRITE : 0);
  moved.no_reserve = mapping.Has("nr");
  moved.from_file = mapping.has_file();
  size_t advices = 0;
  for (const FlagAdvice& one : kAdvice) {
    if (mapping.Has(one.flag) && advices < std::size(moved.advice)) moved.advice[advices++] = one.advice;
  }
  return moved;
}

bool ExtendsLast(const FreezePlan& plan, const Mapping& mapping) {
  if (plan.moved.empty() || mapping.has_file() || mapping.size() > kSmall) return false;
  const child::MovedMapping& last = plan.moved.back();
  return last.end == mapping.start && Moved(mapping).JoinsWith(last);
}

}  // namespace

bool IsFrozen(const Mapping& mapping) {
  constexpr std::string_view kMemfd = "/memfd:";
  if (mapping.shared || !mapping.name.starts_with(kMemfd)) return false;
  const std::string_view name = mapping.name.substr(kMemfd.size());
  return name.starts_with(kFrozenName) || name.starts_with(kArenaName);
}

const char* ReasonToLeave(const Mapping& mapping, uintptr_t stack, const FreezeOptions& options) {
  if (mapping.shared) return "shared";
  // [vdso], [vvar], [vvar_vclock], [vsyscall], [uprobes]; a name that a program gave begins with [anon:.
  if (mapping.name.starts_with("[v") || mapping.name == "[uprobes]") return "the kernel's own";
  if (mapping.start <= stack && stack < mapping.end) return "the stack in use";
  for (const FlagReason& one : kReasons) {
    if (mapping.Has(one.flag)) return one.reason;
  }
  for (const FreezeOptions::Region& region : options.keep) {
    if (Overlaps(mapping, region)) return "kept, as was asked for";
  }
  if (mapping.protection_key != 0) return "has a protection key";
  // A profiler or a stack trace finds code by the file it is in.
  if (mapping.executable) return "executable";
  if (!mapping.readable) return "not readable";
  const uint64_t own = OwnBytes(mapping);
  if (mapping.has_file() && mapping.size() > kSmall && own < mapping.size() / kLeastPart) {
    return IsFrozen(mapping) ? "frozen already, and little was written since" : "a view of a file of which little was changed";
  }
  return nullptr;
}

std::pmr::vector<CodeRun> FindCodeRuns(const std::pmr::vector<Mapping>& mappings, FreezeOptions::Coalesce coalesce,
                                       std::pmr::memory_resource* memory) {
  std::pmr::vector<CodeRun> runs(memory);
  if (coalesce == FreezeOptions::Coalesce::kNever) return runs;
  const bool moved = coalesce == FreezeOptions::Coalesce::kCodeIntoFile;
  const auto plain = [&](const Mapping& mapping) {
    bool special = mapping.shared || mapping.writable || !mapping.readable || !mapping.has_file() ||
                   mapping.protection_key != 0 || (!moved && OwnBytes(mapping) > 0);
    for (const FlagReason& one : kReasons) special |= mapping.Has(one.flag);
    return !special;
  };
  const auto continues = [&](const Mapping& from, const Mapping& to) {
    return plain(from) && plain(to) && from.end == to.start && from.file == to.file &&
           (moved || from.offset + from.size() == to.offset);
  };
  for (size_t first = 0; first < mappings.size();) {
    size_t last = first;
    bool code = mappings[first].executable;
    for (; last + 1 < mappings.size() && continues(mappings[last], mappings[last + 1]); ++last) {
      code |= mappings[last + 1].executable;
    }
    if (last > first && code) {
      runs.push_back({.start = mappings[first].start, .end = mappings[last].end, .mappings = last - first + 1});
    }
    first = last + 1;
  }
  return runs;
}

FreezePlan PlanFreeze(const std::pmr::vector<Mapping>& mappings, const std::pmr::vector<CodeRun>& code, uintptr_t stack,
                      const FreezeOptions& options, std::pmr::memory_resource* memory) {
  FreezePlan plan(memory);
  uint64_t runs = 0;
  uintptr_t run_start = 0;
  auto run_of_code = code.begin();
  for (const Mapping& mapping : mappings) {
    while (run_of_code != code.end() && run_of_code->end <= mapping.start) ++run_of_code;
    const bool moved_code = options.coalesce == FreezeOptions::Coalesce::kCodeIntoFile && run_of_code != code.end() &&
                            run_of_code->start <= mapping.start;
    if (!moved_code && OwnBytes(mapping) == 0 && !mapping.Has("ht")) {
      // The rest of a library's .bss: costs nothing itself, but a mapping, unless it becomes one with what is before it.
      if (ExtendsLast(plan, mapping) && ReasonToLeave(mapping, stack, options) == nullptr) {
        plan.moved.push_back(Moved(mapping));
        plan.moved.back().offset = plan.moved[plan.moved.size() - 2].offset + plan.moved[plan.moved.size() - 2].size();
      }
      continue;
    }
    if (const char* const reason = moved_code ? nullptr : ReasonToLeave(mapping, stack, options); reason != nullptr) {
      plan.left.push_back({.mapping = &mapping, .reason = reason});
      continue;
    }
    child::MovedMapping moved = Moved(mapping);
    if (moved_code) moved.protection = PROT_READ | PROT_EXEC;
    if (plan.moved.empty() || plan.moved.back().end != moved.start || moved.end - run_start > kLargestRun) {
      ++runs;
      run_start = moved.start & ~(kHugeBlock - 1);
    }
    moved.offset = ((runs - 1) << kRoomBits) + (moved.start - run_start);
    plan.moved.push_back(moved);
  }
  plan.file_bytes = runs << kRoomBits;
  return plan;
}

}  // namespace brood::internal
