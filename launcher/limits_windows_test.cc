// Limits and tokens that are enforced: on a real Windows. A system that takes them and does not keep them is asked first, and its
// answer is why a test is skipped. Programs are this one again, with a first argument that names what it does.
#include <winsock2.h>
// After winsock2.h, or it brings an older one.
#include <windows.h>
// After windows.h, whose types they need.
#include <aclapi.h>
#include <sddl.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/windows_handle.h"
#include "base/windows_text.h"
#include "gtest/gtest.h"
#include "launcher/launcher.h"
#include "sandbox/app_container_windows.h"
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

bool Writes(DWORD stream, char what, DWORD size) {
  const std::string text(size, what);
  DWORD written = 0;
  return WriteFile(GetStdHandle(stream), text.data(), size, &written, nullptr) && written == size;
}

int WritesForEver() {
  while (Writes(STD_OUTPUT_HANDLE, 'o', 1000)) {
  }
  return 0;
}

int WritesAThousandToBoth() { return Writes(STD_OUTPUT_HANDLE, 'o', 1000) && Writes(STD_ERROR_HANDLE, 'e', 1000) ? 0 : 1; }

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

// 0 if it gets a connection to the port on this machine, else the error.
int Connects(const char* port) {
  WSADATA data = {};
  if (const int error = WSAStartup(MAKEWORD(2, 2), &data); error != 0) return error;
  const SOCKET socket = ::socket(AF_INET, SOCK_STREAM, 0);
  if (socket == INVALID_SOCKET) return WSAGetLastError();
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<u_short>(std::atoi(port)));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ? 0 : WSAGetLastError();
}

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

std::string TextOf(const UniqueFd& file) {
  std::string text;
  char buffer[4096];
  DWORD count = 0;
  while (ReadFile(HandleOf(file.get()), buffer, sizeof(buffer), &count, nullptr) && count > 0) text.append(buffer, count);
  return text;
}

Policy WithOutput(uint64_t bytes) {
  Policy policy = BuiltinPolicy("none").value();
  policy.limits.output_bytes = bytes;
  policy.limits.wall_time = absl::Seconds(60);
  return policy;
}

LaunchOptions Captured(const char* flag, const Policy& policy) {
  LaunchOptions options = {.argv = {ToUtf8(OwnPath()), flag}, .policy = CompilePolicy(policy).value()};
  options.stdout_spec = options.stderr_spec = Stdio::Capture();
  return options;
}

TEST(LimitsTest, OutputBeyondTheLimitEndsTheTreeAndAllUpToItIsThere) {
  Process process = Process::Start(Captured("--write-for-ever", WithOutput(123'456))).value();
  const Outcome outcome = process.Join().value();
  EXPECT_EQ(outcome.StatusWord(), "output") << outcome.ToString();
  EXPECT_TRUE(Hit(outcome, Layer::kOutput));
  EXPECT_EQ(outcome.enforced.at(Layer::kOutput), "pump between child and sink that ends the job");
  EXPECT_EQ(TextOf(process.TakeStdout()), std::string(123'456, 'o'));
}

TEST(LimitsTest, OutputIsThatOfBothStreamsAndExactlyTheLimitIsNoExcess) {
  Process fits = Process::Start(Captured("--write-both", WithOutput(2000))).value();
  const Outcome outcome = fits.Join().value();
  EXPECT_EQ(outcome.exit_code(), 0) << outcome.ToString();
  EXPECT_TRUE(outcome.limits_hit.empty());
  EXPECT_EQ(TextOf(fits.TakeStdout()), std::string(1000, 'o'));
  EXPECT_EQ(TextOf(fits.TakeStderr()), std::string(1000, 'e'));
  EXPECT_EQ(Process::Start(Captured("--write-both", WithOutput(1999)))->Join()->StatusWord(), "output");
  LaunchOptions merged = Captured("--write-both", WithOutput(2000));
  merged.stderr_spec = Stdio::Merge();
  Process both = Process::Start(merged).value();
  EXPECT_EQ(both.Join()->exit_code(), 0);
  EXPECT_EQ(TextOf(both.TakeStdout()), std::string(1000, 'o') + std::string(1000, 'e'));
}

TEST(LimitsTest, OutputToAFileIsLimitedToo) {
  const std::string path = testing::TempDir() + "limited-" + std::to_string(GetCurrentProcessId());
  LaunchOptions options = Captured("--write-for-ever", WithOutput(5000));
  options.stdout_spec = Stdio::Path(path);
  EXPECT_EQ(Process::Start(options)->Join()->StatusWord(), "output");
  WIN32_FILE_ATTRIBUTE_DATA data = {};
  ASSERT_TRUE(GetFileAttributesExW(ToWide(path, "path")->c_str(), GetFileExInfoStandard, &data));
  EXPECT_EQ(data.nFileSizeLow, 5000u);
}

// Its pump is in the middle of a write that nobody reads.
TEST(LimitsTest, AProcessThatIsDroppedWhileItsSinkIsFullGoes) {
  HANDLE ends[2] = {};
  ASSERT_TRUE(CreatePipe(&ends[0], &ends[1], nullptr, 4096));
  const UniqueFd reader = Own(ends[0]);
  UniqueFd writer = Own(ends[1]);
  LaunchOptions options = Captured("--write-for-ever", WithOutput(1 << 30));
  options.stdout_spec = Stdio::Fd(writer.get());
  {
    const Process process = Process::Start(options).value();
    writer.reset();
    char byte = 0;
    DWORD count = 0;
    ASSERT_TRUE(ReadFile(ends[0], &byte, 1, &count, nullptr));
  }
  // Nobody holds the other end any more.
  TextOf(reader);
}

// A port of this machine on which somebody listens.
struct Listener {
  Listener() {
    WSADATA data = {};
    EXPECT_EQ(WSAStartup(MAKEWORD(2, 2), &data), 0);
    socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int size = sizeof(address);
    EXPECT_EQ(bind(socket, reinterpret_cast<const sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(socket, 1), 0);
    EXPECT_EQ(getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port = std::to_string(ntohs(address.sin_port));
  }
  ~Listener() { closesocket(socket); }
  SOCKET socket = INVALID_SOCKET;
  std::string port;
};

// A copy of this program that application packages may run: the folder it lies in is not for them.
std::wstring ProgramForPackages() {
  std::wstring path = ToWide(testing::TempDir() + "package-" + std::to_string(GetCurrentProcessId()) + ".exe", "path").value();
  EXPECT_TRUE(CopyFileW(OwnPath().c_str(), path.c_str(), FALSE));
  PSID packages = nullptr;
  EXPECT_TRUE(ConvertStringSidToSidW(L"S-1-15-2-1", &packages));
  EXPLICIT_ACCESSW allow = {.grfAccessPermissions = GENERIC_READ | GENERIC_EXECUTE, .grfAccessMode = GRANT_ACCESS, .grfInheritance = NO_INHERITANCE, .Trustee = {}};
  BuildTrusteeWithSidW(&allow.Trustee, packages);
  ACL* before = nullptr;
  ACL* after = nullptr;
  PSECURITY_DESCRIPTOR descriptor = nullptr;
  EXPECT_EQ(GetNamedSecurityInfoW(path.data(), SE_FILE_OBJECT, DACL_SECURITY_INFORMATION, nullptr, nullptr, &before, nullptr, &descriptor), 0u);
  EXPECT_EQ(SetEntriesInAclW(1, &allow, before, &after), 0u);
  EXPECT_EQ(SetNamedSecurityInfoW(path.data(), SE_FILE_OBJECT, DACL_SECURITY_INFORMATION, nullptr, nullptr, after, nullptr), 0u);
  LocalFree(after);
  LocalFree(descriptor);
  LocalFree(packages);
  return path;
}

// The control: the program connects when nothing forbids it.
TEST(LimitsTest, WithoutAContainerTheNetworkIsThere) {
  const Listener listener;
  LaunchOptions options = {.argv = {ToUtf8(OwnPath()), "--connect", listener.port}, .policy = CompilePolicy(BuiltinPolicy("none").value()).value()};
  EXPECT_EQ(Process::Start(options)->Join()->exit_code(), 0);
}

Policy WithoutNetwork() {
  Policy policy = BuiltinPolicy("none").value();
  policy.namespaces = {Layer::kNet};
  policy.network.mode = NetworkMode::kNone;
  return policy;
}

TEST(LimitsTest, AnAppContainerReachesNoNetworkAndNoFileOfTheUsers) {
  BROOD_SKIP_UNLESS_KEPT(ProbeAppContainer());
  const Listener listener;
  const std::string program = ToUtf8(ProgramForPackages());
  const auto policy = CompilePolicy(WithoutNetwork()).value();
  const Outcome connects = Process::Start({.argv = {program, "--connect", listener.port}, .policy = policy})->Join().value();
  EXPECT_NE(connects.exit_code(), 0);
  EXPECT_EQ(connects.enforced.at(Layer::kNet), "AppContainer without capabilities");
  EXPECT_EQ(Process::Start({.argv = {program, "--write-temporary"}, .policy = policy})->Join()->exit_code(), int64_t{ERROR_ACCESS_DENIED});
}

// Both at once: the container is made from the restricted token.
TEST(LimitsTest, AnAppContainerWithARestrictedTokenHasNeitherNetworkNorPrivileges) {
  BROOD_SKIP_UNLESS_KEPT(KeepsToken({.drops_privileges = true, .low_integrity = true}));
  BROOD_SKIP_UNLESS_KEPT(ProbeAppContainer({.drops_privileges = true, .low_integrity = true}));
  const Listener listener;
  const std::string program = ToUtf8(ProgramForPackages());
  Policy asked = WithoutNetwork();
  asked.drop_privileges = true;
  const auto policy = CompilePolicy(asked).value();
  const Outcome connects = Process::Start({.argv = {program, "--connect", listener.port}, .policy = policy})->Join().value();
  EXPECT_NE(connects.exit_code(), 0);
  for (const Layer layer : {Layer::kNet, Layer::kCapabilities, Layer::kNoNewPrivs}) EXPECT_EQ(connects.enforced.count(layer), 1u) << LayerName(layer);
  EXPECT_LE(Process::Start({.argv = {program, "--count-privileges"}, .policy = policy})->Join()->exit_code(), 1);
  EXPECT_EQ(Process::Start({.argv = {program, "--write-temporary"}, .policy = policy})->Join()->exit_code(), int64_t{ERROR_ACCESS_DENIED});
}

// On every system: a container that is not to be had, whose absence is accepted, keeps no program from running.
TEST(LimitsTest, AContainerThatIsNotThereIsNotTold) {
  Policy policy = WithoutNetwork();
  policy.allow_weaker = {Layer::kNet};
  Process process = Process::Start({.argv = {ToUtf8(ProgramForPackages()), "--do-nothing"}, .policy = CompilePolicy(policy).value()}).value();
  const Outcome outcome = process.Join().value();
  EXPECT_EQ(outcome.exit_code(), 0);
  EXPECT_EQ(outcome.enforced.count(Layer::kNet), ProbeAppContainer().ok() ? 1u : 0u);
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
                  {"--write-for-ever", WritesForEver},      {"--write-both", WritesAThousandToBoth},
                  {"--spin", Spins},                        {"--count-privileges", CountsPrivileges}, {"--write-temporary", WritesTemporaryFile},
                  {"--read-clipboard", ReadsClipboard}};
  for (const auto& program : programs) {
    if (argc > 1 && std::string_view(argv[1]) == program.flag) return program.run();
  }
  if (argc > 2 && std::string_view(argv[1]) == "--connect") return Connects(argv[2]);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
