// What a fork, and a launch by the forkserver, cost with much in memory: as it is, in an arena, frozen.
#include <dlfcn.h>
#include <fcntl.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "benchmarks/contests.h"
#include "benchmarks/fork_helper.h"
#include "bootstrap/target.h"
#include "cli/runfiles.h"
#include "forkserver/freeze.h"
#include "forkserver/preload_arena.h"
#include "forkserver/preload_memory.h"
#include "launcher/context.h"
#include "launcher/process.h"

namespace brood {
namespace {

constexpr size_t kGib = size_t{1} << 30;

// As programs do: in blocks of many sizes, from the heap or from `memory`. Lives for ever.
void Fill(size_t bytes, std::pmr::memory_resource* memory) {
  constexpr size_t kLeast = 256;
  constexpr size_t kSizes = 8;  // Up to 4 MiB.
  for (size_t done = 0, i = 0; done < bytes; ++i) {
    const size_t size = kLeast << (i % kSizes * 2);
    auto* const block = static_cast<unsigned char*>(memory->allocate(size));
    for (size_t at = 0; at < size; at += 64) block[at] = static_cast<unsigned char>(at + i);
    done += size;
  }
}

absl::Status FillHeap(size_t bytes) {
  Fill(bytes, std::pmr::new_delete_resource());
  return absl::OkStatus();
}

absl::Status FillArena(size_t bytes) {
  BROOD_ASSIGN_OR_RETURN(std::unique_ptr<PreloadArena> arena, PreloadArena::Create({}));
  Fill(bytes, arena.get());
  return arena.release()->Seal().status();
}

absl::Status FillAndFreeze(size_t bytes, const FreezeOptions& options) {
  BROOD_RETURN_IF_ERROR(FillHeap(bytes));
  return FreezeProcess(options).status();
}

FreezeOptions Coalesced() { return {.coalesce = FreezeOptions::Coalesce::kCodeIntoFile, .keep = {}}; }

// With room for what else there is.
absl::Status CheckMemory(size_t bytes) {
  char text[4096];
  const bool known = child::ReadFile(AT_FDCWD, "/proc/meminfo", text, sizeof(text)) > 0;
  if (known && (child::NumberAfter(text, "MemAvailable:", 0) << 10) >= bytes + kGib) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("takes ", bytes / kGib, " GiB of memory, which is not free"));
}

absl::Status LoadLibraries() {
  BROOD_ASSIGN_OR_RETURN(const std::string directory, RunfilesDirectory("benchmarks"));
  for (int i = 0; i < 50; ++i) {
    const std::string path = absl::StrCat(directory, "/library_", i, ".so");
    if (dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) return absl::NotFoundError(dlerror());
  }
  return absl::OkStatus();
}

void LoadGibOfHeap() { (void)FillHeap(kGib); }
BROOD_TARGET(LoadGibOfHeap);
void LoadGibOfPreloadMemory() { Fill(kGib, PreloadMemory()); }
BROOD_TARGET(LoadGibOfPreloadMemory);
void DoNothing() {}
BROOD_TARGET(DoNothing);

absl::Status Launch(const Context& context) {
  BROOD_ASSIGN_OR_RETURN(Process process, context.Start(DoNothing));
  BROOD_ASSIGN_OR_RETURN(const Outcome outcome, process.Join());
  return outcome.ok() ? absl::OkStatus() : absl::InternalError(outcome.ToString());
}

}  // namespace

Contest ForkPreloaded(int rounds, int gib) {
  const size_t bytes = static_cast<size_t>(gib) * kGib;
  Contest contest(absl::StrCat("fork with ", gib, " GiB"), "nothing");
  const auto add = [&](const std::string& name, const std::function<absl::Status()>& load) {
    const absl::StatusOr<std::shared_ptr<ForkHelper>> helper = ForkHelper::Start(load);
    if (!helper.ok()) return contest.Skip(name, std::string(helper.status().message()));
    contest.AddTimed(name, [helper = *helper] { return helper->Fork(); });
  };
  const absl::Status room = CheckMemory(4 * bytes);
  add("nothing", [] { return absl::OkStatus(); });
  add("heap", [=] { return room.ok() ? FillHeap(bytes) : room; });
  add("preload arena", [=] { return room.ok() ? FillArena(bytes) : room; });
  add("frozen heap", [=] { return room.ok() ? FillAndFreeze(bytes, {}) : room; });
  add("frozen and coalesced", [=] { return room.ok() ? FillAndFreeze(bytes, Coalesced()) : room; });
  contest.Run(rounds);
  return contest;
}

Contest ForkWithLibraries(int rounds) {
  Contest contest("fork with 50 libraries", "as loaded");
  const auto add = [&](const std::string& name, const std::optional<FreezeOptions>& options) {
    const absl::StatusOr<std::shared_ptr<ForkHelper>> helper = ForkHelper::Start([&]() -> absl::Status {
      BROOD_RETURN_IF_ERROR(LoadLibraries());
      return options.has_value() ? FreezeProcess(*options).status() : absl::OkStatus();
    });
    if (!helper.ok()) return contest.Skip(name, std::string(helper.status().message()));
    contest.AddTimed(name, [helper = *helper] { return helper->Fork(); });
  };
  add("as loaded", std::nullopt);
  add("frozen", FreezeOptions());
  add("frozen, code joined", {{.coalesce = FreezeOptions::Coalesce::kCodeWithConstants, .keep = {}}});
  add("frozen and coalesced", Coalesced());
  contest.Run(rounds);
  return contest;
}

Contest LaunchPreloaded(int rounds) {
  Contest contest("launch with 1 GiB", "nothing");
  const absl::Status room = CheckMemory(2 * kGib);
  const auto add = [&](const std::string& name, const ContextOptions& options) {
    const Context context(StartMethod::kForkServer, options);
    const absl::Status ready = room.ok() ? context.StartServer() : room;
    if (!ready.ok()) return contest.Skip(name, std::string(ready.message()));
    contest.AddTimed(name, [context]() -> absl::StatusOr<double> {
      BROOD_RETURN_IF_ERROR(Launch(context));  // As the first fork of a ForkHelper.
      const auto start = std::chrono::steady_clock::now();
      BROOD_RETURN_IF_ERROR(Launch(context));
      return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
    });
  };
  ContextOptions options;
  add("nothing", options);
  options.preload = {"LoadGibOfHeap"};
  // Not with the heap as it is: a guardian frees its copy of the page tables after its report, while the next one is measured.
  options.freeze = Freeze::kOn;
  add("frozen heap", options);
  options.freeze = Freeze::kOff;
  options.preload = {"LoadGibOfPreloadMemory"};
  add("preload memory", options);
  contest.Run(rounds);
  return contest;
}

}  // namespace brood
