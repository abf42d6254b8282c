#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "forkserver/freeze.h"
#include "forkserver/preload_memory.h"
#include "forkserver/settle.h"

#include <fcntl.h>

namespace brood::internal {
namespace {

// From here on a fork costs a millisecond less when frozen, and a first touch of each page in the child a little more.
constexpr uint64_t kPays = uint64_t{16} << 20;

// What fork(2) has to copy the page tables of. 0 if the kernel does not tell.
uint64_t AnonymousBytes() {
  char text[4096];
  if (child::ReadFile(AT_FDCWD, "/proc/self/status", text, sizeof(text)) <= 0) return 0;
  return child::NumberAfter(text, "RssAnon:", 0) << 10;
}

}  // namespace

absl::StatusOr<std::string> SettlePreload(Freeze freeze) {
  BROOD_RETURN_IF_ERROR(Annotate(SealPreloadMemory().status(), "preload memory"));
  if (freeze == Freeze::kOff) return "not frozen: not asked for";
  if (freeze == Freeze::kAuto && AnonymousBytes() < kPays) return "not frozen: there is too little for it to pay";
  const absl::StatusOr<FreezeReport> report = FreezeProcess({.coalesce = FreezeOptions::Coalesce::kCodeWithConstants});
  if (report.ok()) return report->ToString();
  if (freeze == Freeze::kOn) return report.status();
  return absl::StrCat("not frozen: ", report.status().message());
}

}  // namespace brood::internal
