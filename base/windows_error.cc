#include "base/windows_error.h"

#include <windows.h>

#include <iterator>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"

namespace brood {
namespace {

struct Row {
  DWORD number;
  const char* name;
  absl::StatusCode code;
};

using absl::StatusCode;

// Windows has texts for its codes, but no names. These are the ones that starting processes meets; the texts are Windows'.
constexpr Row kRows[] = {
    {ERROR_INVALID_FUNCTION, "ERROR_INVALID_FUNCTION", StatusCode::kUnimplemented},
    {ERROR_FILE_NOT_FOUND, "ERROR_FILE_NOT_FOUND", StatusCode::kNotFound},
    {ERROR_PATH_NOT_FOUND, "ERROR_PATH_NOT_FOUND", StatusCode::kNotFound},
    {ERROR_INVALID_DRIVE, "ERROR_INVALID_DRIVE", StatusCode::kNotFound},
    {ERROR_BAD_NETPATH, "ERROR_BAD_NETPATH", StatusCode::kNotFound},
    {ERROR_MOD_NOT_FOUND, "ERROR_MOD_NOT_FOUND", StatusCode::kNotFound},
    {ERROR_PROC_NOT_FOUND, "ERROR_PROC_NOT_FOUND", StatusCode::kNotFound},
    {ERROR_ACCESS_DENIED, "ERROR_ACCESS_DENIED", StatusCode::kPermissionDenied},
    {ERROR_PRIVILEGE_NOT_HELD, "ERROR_PRIVILEGE_NOT_HELD", StatusCode::kPermissionDenied},
    {740, "ERROR_ELEVATION_REQUIRED", StatusCode::kPermissionDenied},  // mingw-w64 10 lacks the name.
    {ERROR_TOO_MANY_OPEN_FILES, "ERROR_TOO_MANY_OPEN_FILES", StatusCode::kResourceExhausted},
    {ERROR_NOT_ENOUGH_MEMORY, "ERROR_NOT_ENOUGH_MEMORY", StatusCode::kResourceExhausted},
    {ERROR_OUTOFMEMORY, "ERROR_OUTOFMEMORY", StatusCode::kResourceExhausted},
    {ERROR_DISK_FULL, "ERROR_DISK_FULL", StatusCode::kResourceExhausted},
    {ERROR_COMMITMENT_LIMIT, "ERROR_COMMITMENT_LIMIT", StatusCode::kResourceExhausted},
    {ERROR_NO_SYSTEM_RESOURCES, "ERROR_NO_SYSTEM_RESOURCES", StatusCode::kResourceExhausted},
    {ERROR_NOT_ENOUGH_QUOTA, "ERROR_NOT_ENOUGH_QUOTA", StatusCode::kResourceExhausted},
    {ERROR_FILE_EXISTS, "ERROR_FILE_EXISTS", StatusCode::kAlreadyExists},
    {ERROR_ALREADY_EXISTS, "ERROR_ALREADY_EXISTS", StatusCode::kAlreadyExists},
    {ERROR_INVALID_PARAMETER, "ERROR_INVALID_PARAMETER", StatusCode::kInvalidArgument},
    {ERROR_INVALID_NAME, "ERROR_INVALID_NAME", StatusCode::kInvalidArgument},
    {ERROR_FILENAME_EXCED_RANGE, "ERROR_FILENAME_EXCED_RANGE", StatusCode::kInvalidArgument},
    {ERROR_MORE_DATA, "ERROR_MORE_DATA", StatusCode::kInvalidArgument},
    {ERROR_BAD_EXE_FORMAT, "ERROR_BAD_EXE_FORMAT", StatusCode::kInvalidArgument},
    {ERROR_EXE_MACHINE_TYPE_MISMATCH, "ERROR_EXE_MACHINE_TYPE_MISMATCH", StatusCode::kInvalidArgument},
    {ERROR_CALL_NOT_IMPLEMENTED, "ERROR_CALL_NOT_IMPLEMENTED", StatusCode::kUnimplemented},
    {ERROR_NOT_SUPPORTED, "ERROR_NOT_SUPPORTED", StatusCode::kUnimplemented},
    {ERROR_SEM_TIMEOUT, "ERROR_SEM_TIMEOUT", StatusCode::kDeadlineExceeded},
    {WAIT_TIMEOUT, "WAIT_TIMEOUT", StatusCode::kDeadlineExceeded},
    {ERROR_BROKEN_PIPE, "ERROR_BROKEN_PIPE", StatusCode::kUnavailable},
    {ERROR_NO_DATA, "ERROR_NO_DATA", StatusCode::kUnavailable},
    {ERROR_PIPE_NOT_CONNECTED, "ERROR_PIPE_NOT_CONNECTED", StatusCode::kUnavailable},
    {ERROR_INVALID_HANDLE, "ERROR_INVALID_HANDLE", StatusCode::kFailedPrecondition},
    {ERROR_SHARING_VIOLATION, "ERROR_SHARING_VIOLATION", StatusCode::kFailedPrecondition},
    {ERROR_PIPE_BUSY, "ERROR_PIPE_BUSY", StatusCode::kFailedPrecondition},
    {ERROR_DIRECTORY, "ERROR_DIRECTORY", StatusCode::kFailedPrecondition},
    {ERROR_INTERNAL_ERROR, "ERROR_INTERNAL_ERROR", StatusCode::kFailedPrecondition},
    {ERROR_GEN_FAILURE, "ERROR_GEN_FAILURE", StatusCode::kFailedPrecondition},
};

const Row* RowOf(DWORD number) {
  for (const Row& row : kRows) {
    if (row.number == number) return &row;
  }
  return nullptr;
}

}  // namespace

std::string SystemErrorName(int error_number) {
  const Row* row = RowOf(static_cast<DWORD>(error_number));
  return row != nullptr ? std::string(row->name) : absl::StrCat("ERROR_", static_cast<DWORD>(error_number));
}

std::string SystemErrorText(int error_number) {
  const std::string name = SystemErrorName(error_number);
  // In English wherever that is installed: messages are the same on every machine. ASCII only, so no other form is asked for.
  constexpr DWORD kEnglish = MAKELANGID(LANG_ENGLISH, SUBLANG_ENGLISH_US);
  char text[512];
  DWORD size = 0;
  for (const DWORD language : {kEnglish, DWORD{0}}) {
    size = FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS | FORMAT_MESSAGE_MAX_WIDTH_MASK, nullptr,
                          static_cast<DWORD>(error_number), language, text, static_cast<DWORD>(std::size(text)), nullptr);
    if (size != 0) break;
  }
  std::string_view shown(text, size);
  while (!shown.empty() && (shown.back() == ' ' || shown.back() == '.')) shown.remove_suffix(1);
  return absl::StrCat(name, ", ", static_cast<DWORD>(error_number), shown.empty() ? "" : " (", shown, shown.empty() ? "" : ")");
}

int SystemErrorFromName(std::string_view name) {
  for (const Row& row : kRows) {
    if (name == row.name) return static_cast<int>(row.number);
  }
  DWORD number = 0;
  return absl::ConsumePrefix(&name, "ERROR_") && absl::SimpleAtoi(name, &number) ? static_cast<int>(number) : 0;
}

bool SystemErrorIsNotFound(int error_number) {
  const Row* row = RowOf(static_cast<DWORD>(error_number));
  return row != nullptr && row->code == absl::StatusCode::kNotFound;
}

absl::Status WindowsStatus(uint32_t error, std::string_view operation, std::string_view object, std::string_view remedy) {
  const Row* row = RowOf(error);
  return absl::Status(row != nullptr ? row->code : absl::StatusCode::kFailedPrecondition,
                      FailureText(SystemErrorText(static_cast<int>(error)), operation, object, remedy));
}

absl::Status LastErrorStatus(std::string_view operation, std::string_view object, std::string_view remedy) {
  return WindowsStatus(GetLastError(), operation, object, remedy);
}

}  // namespace brood
