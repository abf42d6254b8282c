#include <windows.h>
// After windows.h, whose types it needs.
#include <shellapi.h>

#include <fcntl.h>
#include <io.h>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "base/windows_text.h"
#include "cli/commands.h"
#include "cli/program.h"

namespace brood {
namespace {

template <const char* kName, const char* kWhy>
int Missing(const std::vector<std::string>& /*args*/) {
  PrintError(kName, absl::StrCat("not on Windows: ", kWhy));
  return kExitBroodFailed;
}

constexpr char kServe[] = "serve";
constexpr char kListen[] = "listen";
constexpr char kProbe[] = "probe";
constexpr char kDemo[] = "demo";
constexpr char kNoFork[] = "a server forks, and there is no fork";
constexpr char kNoRelay[] = "a connection is relayed by a guardian of Linux";
constexpr char kNoSystemCalls[] = "its attacks are system calls of Linux";
constexpr char kLinuxDemo[] = "it shows sandboxes of Linux; brood doctor tells what there is here";

}  // namespace

Command FindCommand(std::string_view name) {
  if (name == "run") return RunMain;
  if (name == "call") return CallMain;
  if (name == "batch") return BatchMain;
  if (name == "status") return StatusMain;
  if (name == "policy") return PolicyMain;
  if (name == "doctor") return DoctorMain;
  if (name == kServe) return Missing<kServe, kNoFork>;
  if (name == kListen) return Missing<kListen, kNoRelay>;
  if (name == kProbe) return Missing<kProbe, kNoSystemCalls>;
  if (name == kDemo) return Missing<kDemo, kLinuxDemo>;
  return nullptr;
}

int PrepareProgram() {
  // JSON and UTF-8 as they are: no carriage returns, no code page.
  for (FILE* const stream : {stdout, stderr}) _setmode(_fileno(stream), _O_BINARY);
  SetConsoleOutputCP(CP_UTF8);
  return kExitOk;
}

std::vector<std::string> CommandLineWords(int /*argc*/, char** /*argv*/) {
  int count = 0;
  wchar_t** const words = CommandLineToArgvW(GetCommandLineW(), &count);
  std::vector<std::string> result;
  for (int i = 1; i < count; ++i) result.push_back(ToUtf8(words[i]));
  LocalFree(words);
  return result;
}

}  // namespace brood
