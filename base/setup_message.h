// What a child says of its own set-up, in one fixed record that fits an atomic pipe write.
//
// Written by code between fork and target (no allocation there), read by the guardian that watches the child. The
// reader checks `magic` and `kind` and never trusts the text to be terminated: a hostile child can hold the pipe's
// other end only if brood forgot to close it, but the check costs nothing.
#ifndef BROOD_BASE_SETUP_MESSAGE_H_
#define BROOD_BASE_SETUP_MESSAGE_H_

#include <cstdint>

namespace brood {

inline constexpr uint32_t kSetupMessageMagic = 0x42524431;  // "BRD1"

enum class SetupKind : uint32_t {
  kReady = 1,   // The target runs from here on.
  kFailed = 2,  // `step`, `error_number` and `detail` say what could not be done.
};

struct SetupMessage {
  uint32_t magic = kSetupMessageMagic;
  SetupKind kind = SetupKind::kReady;
  int32_t error_number = 0;  // errno, 0 when the failure has none.
  char step[36] = {};        // Zero-terminated: "mount", "exec", "bootstrap".
  char detail[464] = {};     // Zero-terminated, cut if longer.
};

static_assert(sizeof(SetupMessage) == 512, "must be below PIPE_BUF: one write, never torn. pipe(7)");

}  // namespace brood

#endif  // BROOD_BASE_SETUP_MESSAGE_H_
