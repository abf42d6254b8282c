#include <windows.h>

#include <cstdlib>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/bootstrapped.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "base/windows_handle.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/exit.h"
#include "bootstrap/plugin.h"
#include "bootstrap/registry.h"
#include "bootstrap/run_child.h"

namespace brood {
namespace {

// All handles came by inheritance, so their values are the parent's: MESSAGE:SETUP.
[[noreturn]] void RunSpawned(std::string_view handles, std::string_view parent_text) {
  SetLastError(ERROR_SUCCESS);
  int message = -1;
  int setup = -1;
  int parent = -1;
  const size_t colon = handles.find(':');
  const bool sound = colon != std::string_view::npos && absl::SimpleAtoi(handles.substr(0, colon), &message) &&
                     absl::SimpleAtoi(handles.substr(colon + 1), &setup) && absl::SimpleAtoi(parent_text, &parent) &&
                     KeepFromChildren(message) && (setup == -1 || KeepFromChildren(setup));
  if (!sound) {
    const DWORD error = GetLastError();
    internal::FailBootstrap(-1, absl::InvalidArgumentError(
                                    absl::StrCat("handles \"", handles, "\", parent \"", parent_text,
                                                 "\": not what a parent passes; this command line is not for people",
                                                 error != ERROR_SUCCESS ? ": " : "",
                                                 error != ERROR_SUCCESS ? SystemErrorText(static_cast<int>(error)) : "")));
  }
  internal::RunMessage(message, setup);
}

}  // namespace

void Bootstrap(int argc, char** argv) {
  if (internal::g_bootstrapped.exchange(true)) return;
  internal::SetPluginFinder(internal::FindPluginTarget);
  if (argc >= 2 && std::string_view(argv[1]) == internal::kBootstrapFlag) {
    if (argc != 4) {
      internal::FailBootstrap(
          -1, absl::InvalidArgumentError(absl::StrCat(internal::kBootstrapFlag, " takes handles and a parent, got ",
                                                      argc - 2, " arguments; this command line is not for people")));
    }
    RunSpawned(argv[2], argv[3]);
  }
  std::atexit(internal::RunAtExit);
}

bool internal::BootstrapWasCalled() { return g_bootstrapped; }

}  // namespace brood
