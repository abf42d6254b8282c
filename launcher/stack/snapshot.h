// What the guardian keeps of a thread that broke its policy, for a stack trace: registers, the top of its stack, and what is
// mapped where. It lies in a file in memory: this header, then from kSnapshotBytes on the stack, then the text of /proc/PID/maps.
//
// Everything but the header's own numbers is the child's word.
#ifndef BROOD_LAUNCHER_STACK_SNAPSHOT_H_
#define BROOD_LAUNCHER_STACK_SNAPSHOT_H_

#include <cstddef>
#include <cstdint>

namespace brood {

inline constexpr uint32_t kSnapshotMagic = 0x4252534b;  // "BRSK"
inline constexpr size_t kSnapshotBytes = 4096;
inline constexpr size_t kMaxStackBytes = 256 << 10;
inline constexpr size_t kMaxMapsBytes = 512 << 10;

enum class SnapshotStep : uint32_t { kDone, kAttach, kStop, kRegisters, kMaps };

struct StackSnapshot {
  // In the order of DWARF for x86-64: rax rdx rcx rbx rsi rdi rbp rsp r8 to r15 rip.
  static constexpr size_t kRegisters = 17;

  uint32_t magic = kSnapshotMagic;
  SnapshotStep failed = SnapshotStep::kDone;  // Which step failed, if one did,
  int32_t error_number = 0;                   // and how.
  uint32_t unused = 0;
  uint64_t registers[kRegisters] = {};
  uint64_t stack_begin = 0;  // An address of the child's.
  uint64_t stack_bytes = 0;
  uint64_t maps_bytes = 0;
};

static_assert(sizeof(StackSnapshot) <= kSnapshotBytes);

}  // namespace brood

#endif  // BROOD_LAUNCHER_STACK_SNAPSHOT_H_
