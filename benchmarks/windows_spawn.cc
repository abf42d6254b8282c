// Start to join on Windows, beside a bare CreateProcess loop: interleaved, of the same program. Run by `tools/bench windows`.
#include <windows.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/target.h"
#include "launcher/context.h"
#include "launcher/launcher.h"

namespace brood {

void Nothing() {}
BROOD_TARGET(Nothing);

namespace {

constexpr double kGoal = 1.3;  // Times the bare loop.

[[noreturn]] void Fail(std::string_view what, const absl::Status& status) {
  std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(what.size()), what.data(), status.ToString().c_str());
  std::exit(1);
}

std::wstring OwnPath() {
  wchar_t path[1024];
  return std::wstring(path, GetModuleFileNameW(nullptr, path, 1024));
}

void Bare() {
  static const std::wstring path = OwnPath();
  std::wstring line = L"\"" + path + L"\" --nothing";
  STARTUPINFOW startup = {};
  startup.cb = sizeof(startup);
  PROCESS_INFORMATION born = {};
  if (!CreateProcessW(path.c_str(), line.data(), nullptr, nullptr, FALSE, 0, nullptr, nullptr, &startup, &born)) {
    Fail("CreateProcess", absl::InternalError("failed"));
  }
  WaitForSingleObject(born.hProcess, INFINITE);
  DWORD code = 1;
  GetExitCodeProcess(born.hProcess, &code);
  CloseHandle(born.hThread);
  CloseHandle(born.hProcess);
  if (code != 0) Fail("bare child", absl::InternalError("exit code"));
}

void Program(const std::string& path) {
  absl::StatusOr<Process> process = Process::Start({.argv = {path, "--nothing"}});
  if (!process.ok()) Fail("start", process.status());
  const absl::StatusOr<Outcome> outcome = process->Join();
  if (!outcome.ok() || !outcome->ok()) Fail("join", outcome.status());
}

void Function() {
  static const Context context(StartMethod::kSpawn);
  if (const absl::Status status = context.Call(Nothing); !status.ok()) Fail("call", status);
}

int Run(int rounds, const std::string& path) {
  struct Row {
    const char* name;
    std::function<void()> run;
    std::vector<absl::Duration> times;
  };
  Row rows[] = {{"CreateProcess, bare", Bare, {}},
                {"brood, program", [&] { Program(path); }, {}},
                {"brood, function by spawn", Function, {}}};
  for (int round = -2; round < rounds; ++round) {
    for (Row& row : rows) {
      const absl::Time begin = absl::Now();
      row.run();
      if (round >= 0) row.times.push_back(absl::Now() - begin);  // The first ones warm up.
    }
  }
  double bare = 0;
  bool met = true;
  for (Row& row : rows) {
    std::sort(row.times.begin(), row.times.end());
    const double p50 = absl::ToDoubleMilliseconds(row.times[row.times.size() / 2]);
    const double p90 = absl::ToDoubleMilliseconds(row.times[row.times.size() * 9 / 10]);
    if (bare == 0) bare = p50;
    std::printf("%-26s p50 %8.2f ms   p90 %8.2f ms   %5.2f times bare\n", row.name, p50, p90, p50 / bare);
    if (&row == &rows[1]) met = p50 / bare <= kGoal;
  }
  std::printf("goal windows_spawn: a program at most %.1f times bare: %s\n", kGoal, met ? "met" : "missed");
  return 0;
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "--nothing") return 0;
  brood::Bootstrap(argc, argv);
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 50;
  return brood::Run(std::max(rounds, 1), argv[0]);
}
