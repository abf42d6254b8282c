#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/status.h"
#include "bootstrap/after_fork.h"
#include "bootstrap/finalizer.h"
#include "bootstrap/inherited_streams.h"
#include "bootstrap/log.h"
#include "bootstrap/registry.h"
#include "bootstrap/reseed.h"
#include "bootstrap/run_child.h"
#include "forkserver/near_state.h"
#include "forkserver/server.h"
#include "launcher/served_call.h"
#include "serialization/call_generated.h"
#include "serialization/verify.h"

namespace brood::internal {
namespace {

}  // namespace

std::string EncodeCall(const PreparationData& preparation, const ProcessData& process) {
  flatbuffers::FlatBufferBuilder builder(1024);
  const std::string prepares = EncodePreparationData(preparation);
  const std::string processes = EncodeProcessData(process);
  // Aligned as its reader wants it, who reads it where it is.
  const auto nested = [&builder](const std::string& bytes) {
    builder.ForceVectorAlignment(bytes.size(), 1, 8);
    return builder.CreateVector(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  };
  const auto written_preparation = nested(prepares);
  const auto written_process = nested(processes);
  fbs::FinishCallBuffer(builder, fbs::CreateCall(builder, written_preparation, written_process));
  return std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
}

bool IsCall(std::string_view bytes) {
  return bytes.size() >= 8 && flatbuffers::BufferHasIdentifier(bytes.data(), fbs::CallIdentifier());
}

std::string RehearseCall() {
  static constexpr char kName[] = "brood rehearsal";
  static TargetEntry entry = {};
  entry.name = kName;
  entry.call = [](WireReader& /*unused*/, WireWriter& /*unused*/, CallEnd& /*unused*/) { return true; };
  entry.bind = [](const std::vector<TypedValue>& /*unused*/) {
    return absl::StatusOr<BoundTarget>([] { return TargetResult(); });
  };
  RegisterTarget(&entry);
  PreparationData preparation;
  preparation.start_method = StartMethod::kForkServer;
  preparation.log_level = static_cast<int>(CurrentLogLevel());
  ProcessData process;
  process.target = kName;
  return EncodeCall(preparation, process);
}

namespace {

// What the child does not have from the keeper of its slot.
void ApplySlot(const child::SlotBirth& slot) {
  child::LeaveKeepersGroup();
  for (uint32_t i = 0; i < slot.rlimit_count; ++i) {
    if (syscall(SYS_prlimit64, 0, slot.rlimits[i].resource, &slot.rlimits[i].limit, nullptr) != 0) {
      FailBootstrap(-1, ErrnoStatus(errno, "limits: prlimit", "of the sandbox"));
    }
  }
}

// Calls `each` with where each text of its environment begins.
template <typename Each>
void ForEachText(const child::SlotBirth& slot, Each each) {
  for (uint32_t at = 0; at < slot.environment_size; at += static_cast<uint32_t>(strlen(slot.environment + at)) + 1) {
    each(const_cast<char*>(slot.environment + at));
  }
}

}  // namespace

void RunCall(std::string_view bytes, const child::SlotBirth* slot) {
  const absl::StatusOr<const fbs::Call*> call = Verified<fbs::Call>(bytes, fbs::CallIdentifier(), "call");
  if (!call.ok()) FailBootstrap(-1, call.status());
  absl::StatusOr<PreparationData> preparation = DecodePreparationData(View((*call)->preparation()));
  if (!preparation.ok()) FailBootstrap(-1, preparation.status());
  absl::StatusOr<ProcessData> process = DecodeProcessData(View((*call)->process()));
  if (!process.ok()) FailBootstrap(-1, process.status());
  RestoreLimitsAtBirth();
  if (slot != nullptr) ApplySlot(*slot);
  if (slot != nullptr && slot->own_environment != 0) {
    // Not by putenv(3), which allocates, and whose symbol each child would have to look up. The C library copies what it did not
    // make itself before it changes that. The texts stay where they are as long as the child lives, and so does this frame: memory
    // of the heap would be three more pages that each child copies.
    size_t count = 1;
    ForEachText(*slot, [&count](char* /*unused*/) { ++count; });
    char** entries = NearEnvironment(count);
    if (entries == nullptr) environ = entries = static_cast<char**>(__builtin_alloca(count * sizeof(char*)));
    size_t filled = 0;
    ForEachText(*slot, [&](char* text) { entries[filled++] = text; });
    entries[filled] = nullptr;
  }
  syscall(SYS_close_range, 3, UINT_MAX, 0);  // The keeper's. The streams are /dev/null.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  ForgetInheritedText();
  ForgetFinalizers();
  SeedNearRandom();
  ReseedGenerators();
  RunAfterFork();
  RunChild(*preparation, *std::move(process));
}

}  // namespace brood::internal
