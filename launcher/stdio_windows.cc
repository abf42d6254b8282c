#include "launcher/stdio_windows.h"

#include <windows.h>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "base/windows_path.h"
#include "base/windows_text.h"
#include "launcher/launch_windows.h"
#include "launcher/scratch_file_windows.h"

namespace brood::internal {
namespace {

constexpr const char* kNames[] = {"stdin", "stdout", "stderr"};
constexpr DWORD kStreams[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};

absl::StatusOr<UniqueFd> Open(const std::string& path, int number) {
  BROOD_ASSIGN_OR_RETURN(const std::wstring wide, ToWide(path, absl::StrCat(kNames[number], ": path")));
  SECURITY_ATTRIBUTES inherited = {.nLength = sizeof(inherited), .lpSecurityDescriptor = nullptr, .bInheritHandle = TRUE};
  UniqueFd file = Own(CreateFileW(AnyLength(wide).c_str(), number == 0 ? GENERIC_READ : GENERIC_WRITE,
                                  FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, &inherited,
                                  number == 0 ? OPEN_EXISTING : CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, nullptr));
  if (!file.valid()) return LastErrorStatus("open", path);
  return file;
}

absl::StatusOr<UniqueFd> Stream(const Stdio& spec, int number, PreparedStdio* out) {
  switch (spec.kind) {
    case Stdio::Kind::kInherit: {
      const int own = FdOf(GetStdHandle(kStreams[number]));
      // A program without a console may have none.
      return own >= 0 ? Inheritable(own) : Open("NUL", number);
    }
    case Stdio::Kind::kNull:
      return Open("NUL", number);
    case Stdio::Kind::kFd: {
      absl::StatusOr<UniqueFd> copy = Inheritable(spec.fd);
      return copy.ok() ? std::move(copy) : Annotate(copy.status(), kNames[number]);
    }
    case Stdio::Kind::kPath:
      return Open(spec.path, number);
    case Stdio::Kind::kCapture: {
      if (number == 0) break;
      BROOD_ASSIGN_OR_RETURN(out->captured[number - 1], ScratchFile());
      return Inheritable(out->captured[number - 1].get());
    }
    case Stdio::Kind::kMerge:
      if (number != 2) break;
      return Inheritable(out->child[1].get());
    case Stdio::Kind::kRelay:
      return absl::UnimplementedError(absl::StrCat(kNames[number], ": relayed streams are not for Windows; give the handle itself"));
  }
  return absl::InvalidArgumentError(absl::StrCat(kNames[number], ": cannot be captured or merged"));
}

}  // namespace

absl::Status PrepareStdio(const LaunchOptions& options, PreparedStdio* out) {
  if (options.terminal.has_value()) {
    return absl::UnimplementedError("terminal: a pseudo-terminal of the child's own is not for Windows; leave it out");
  }
  const Stdio* specs[] = {&options.stdin_spec, &options.stdout_spec, &options.stderr_spec};
  const Stdio merged = Stdio::Merge();
  // Two handles of one file would write over each other, as stdio_linux.cc says.
  if (specs[1]->kind == Stdio::Kind::kPath && specs[2]->kind == Stdio::Kind::kPath && specs[1]->path == specs[2]->path) specs[2] = &merged;
  for (int number = 0; number < 3; ++number) {
    BROOD_ASSIGN_OR_RETURN(out->child[number], Stream(*specs[number], number, out));
  }
  return absl::OkStatus();
}

}  // namespace brood::internal
