// Limits and tokens that are enforced: on a real Windows. A system that takes them and does not keep them is asked first, and its
// answer is why a test is skipped. Programs are this one again, with a first argument that names what it does.
#include <windows.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/windows_handle.h"
#include "base/windows_text.h"
#include "gtest/gtest.h"
#include "launcher/launcher.h"
#include "sandbox/job_limits_windows.h"
#include "sandbox/token_windows.h"

namespace brood {
namespace {

std::wstring OwnPath() {
  wchar_t path[1024];
  return std::wstring(path, GetModuleFileNameW(nullptr, path, 1024));
}

// --- What the programs do.

// 0 if it gets 256 MiB, 7 if it is refused.
int AllocatesMuch() {
  void* const memory = VirtualAlloc(nullptr, 256u << 20, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
  return memory != nullptr ? 0 : 7;
}

// 0 if it can start itself, 7 if it is refused.
int StartsAnother() {
  std::wstring line = L"\"" + OwnPath() + L"\" --do-nothing";
  STARTUPINFOW startup = {};
  startup.cb = sizeof(startup);
  PROCESS_INFORMATION born = {};
  return CreateProcessW(nullptr, line.data(), nullptr, nullptr, FALSE, 0, nullptr, nullptr, &startup, &born) ? 0 : 7;
}

int DoesNothing() { return 0; }

int Spins() {
  volatile uint64_t count = 0;
  while (count != 1) count = 0;
  return 0;
}

// The number of its privileges.
int CountsPrivileges() {
  HANDLE token = nullptr;
  if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token)) return 1000;
  std::vector<char> buffer(4096);
  DWORD size = 0;
  if (!GetTokenInformation(token, TokenPrivileges, buffer.data(), static_cast<DWORD>(buffer.size()), &size)) return 1001;
  return static_cast<int>(reinterpret_cast<const TOKEN_PRIVILEGES*>(buffer.data())->PrivilegeCount);
}

// 0 if it can make a file in the folder for temporary files, else the error. That folder has the medium level.
int WritesTemporaryFile() {
  wchar_t path[MAX_PATH + 32];
  if (GetTempPathW(MAX_PATH, path) == 0) return 1000;
  wcscat(path, (L"brood-" + std::to_wstring(GetCurrentProcessId())).c_str());
  const UniqueFd file = Own(CreateFileW(path, GENERIC_WRITE, 0, nullptr, CREATE_ALWAYS, FILE_FLAG_DELETE_ON_CLOSE, nullptr));
  return file.valid() ? 0 : static_cast<int>(GetLastError());
}

int ReadsClipboard() { return OpenClipboard(nullptr) && IsClipboardFormatAvailable(CF_TEXT) ? 0 : 7; }

// --- What is claimed.

absl::Status KeepsLimits(const JobLimits& limits) {
  const absl::StatusOr<LayerChecks> checks = ProbeJobLimits(limits);
  if (!checks.ok()) return checks.status();
  for (const auto& [layer, check] : *checks) {
    if (!check.ok()) return check;
  }
  return absl::OkStatus();
}

absl::Status KeepsToken(const TokenLimits& limits) {
  for (const auto& [layer, check] : ProbeToken(limits)) {
    if (!check.ok()) return check;
  }
  return absl::OkStatus();
}

#define BROOD_SKIP_UNLESS_KEPT(status) \
  if (const absl::Status kept = (status); !kept.ok()) GTEST_SKIP() << "this system keeps no such limit: " << kept.message()

Outcome RunProgram(const char* flag, const Policy& policy) {
  absl::StatusOr<Process> process = Process::Start({.argv = {ToUtf8(OwnPath()), flag}, .policy = CompilePolicy(policy).value()});
  EXPECT_TRUE(process.ok()) << process.status();
  return process->Join().value();
}

bool Hit(const Outcome& outcome, Layer layer) {
  return std::count(outcome.limits_hit.begin(), outcome.limits_hit.end(), layer) != 0;
}

// The control: the same program without the limit.
TEST(LimitsTest, WithoutLimitsTheProgramsSucceed) {
  const Policy none = BuiltinPolicy("none").value();
  for (const char* const flag : {"--allocate-much", "--start-another", "--write-temporary"}) {
    const Outcome outcome = RunProgram(flag, none);
    EXPECT_EQ(outcome.exit_code(), 0) << flag;
    EXPECT_TRUE(outcome.limits_hit.empty()) << flag;
  }
}

TEST(LimitsTest, MemoryBeyondTheLimitIsRefusedAndTold) {
  BROOD_SKIP_UNLESS_KEPT(KeepsLimits({.memory_bytes = 64 << 20}));
  Policy policy = BuiltinPolicy("none").value();
  policy.limits.memory_bytes = 64 << 20;
  const Outcome outcome = RunProgram("--allocate-much", policy);
  EXPECT_EQ(outcome.exit_code(), 7);
  EXPECT_TRUE(Hit(outcome, Layer::kMemory));
  EXPECT_EQ(outcome.enforced.at(Layer::kMemory), "job object, committed memory");
}

TEST(LimitsTest, ProcessesBeyondTheLimitAreRefusedAndTold) {
  BROOD_SKIP_UNLESS_KEPT(KeepsLimits({.processes = 1}));
  Policy policy = BuiltinPolicy("none").value();
  policy.limits.processes = 1;
  const Outcome outcome = RunProgram("--start-another", policy);
  EXPECT_EQ(outcome.exit_code(), 7);
  EXPECT_TRUE(Hit(outcome, Layer::kProcesses));
}

TEST(LimitsTest, CpuTimeBeyondTheLimitEndsTheTree) {
  BROOD_SKIP_UNLESS_KEPT(KeepsLimits({.cpu_time = absl::Milliseconds(500)}));
  Policy policy = BuiltinPolicy("none").value();
  policy.limits.cpu_time = absl::Milliseconds(500);
  const Outcome outcome = RunProgram("--spin", policy);
  EXPECT_EQ(outcome.StatusWord(), "cpu");
  EXPECT_TRUE(Hit(outcome, Layer::kCpuTime));
}

TEST(LimitsTest, DroppedPrivilegesLeaveOne) {
  BROOD_SKIP_UNLESS_KEPT(KeepsToken({.drops_privileges = true}));
  Policy policy = BuiltinPolicy("none").value();
  policy.drop_privileges = true;
  EXPECT_LE(RunProgram("--count-privileges", policy).exit_code(), 1);
}

TEST(LimitsTest, LowIntegrityWritesToNothingOfTheUsers) {
  BROOD_SKIP_UNLESS_KEPT(KeepsToken({.low_integrity = true}));
  Policy policy = BuiltinPolicy("none").value();
  policy.drop_privileges = true;
  EXPECT_EQ(RunProgram("--write-temporary", policy).exit_code(), int64_t{ERROR_ACCESS_DENIED});
}

TEST(LimitsTest, RestrictionsOfTheUserInterfaceHideTheClipboard) {
  BROOD_SKIP_UNLESS_KEPT(KeepsLimits({.restricts_ui = true}));
  Policy policy = BuiltinPolicy("none").value();
  policy.namespaces = {Layer::kIpc};
  policy.allow_weaker = {Layer::kIpc};
  EXPECT_EQ(RunProgram("--read-clipboard", policy).exit_code(), 7);
}

// Whatever the system keeps of them: a weaker form that was accepted keeps no program from running, and is told only if the
// system says that it is there.
TEST(LimitsTest, WeakerFormsAreToldOnlyWhereTheyAre) {
  Policy policy = BuiltinPolicy("default").value();
  for (const Layer layer : kAllLayers) policy.allow_weaker.insert(layer);
  const Outcome outcome = RunProgram("--do-nothing", policy);
  EXPECT_EQ(outcome.exit_code(), 0);
  EXPECT_EQ(outcome.enforced.count(Layer::kIpc), KeepsLimits({.restricts_ui = true}).ok() ? 1u : 0u);
  EXPECT_EQ(outcome.enforced.count(Layer::kCapabilities), KeepsToken({.drops_privileges = true}).ok() ? 1u : 0u);
  EXPECT_EQ(outcome.enforced.count(Layer::kMount), 0u);
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) {
  using namespace brood;
  const struct {
    const char* flag;
    int (*run)();
  } programs[] = {{"--allocate-much", AllocatesMuch},       {"--start-another", StartsAnother},      {"--do-nothing", DoesNothing},
                  {"--spin", Spins},                        {"--count-privileges", CountsPrivileges}, {"--write-temporary", WritesTemporaryFile},
                  {"--read-clipboard", ReadsClipboard}};
  for (const auto& program : programs) {
    if (argc > 1 && std::string_view(argv[1]) == program.flag) return program.run();
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
