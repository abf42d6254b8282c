#include <windows.h>

#include <algorithm>

#include "base/file.h"
#include "base/status.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "base/windows_path.h"
#include "base/windows_text.h"

namespace brood {
namespace {

absl::StatusOr<UniqueFd> Open(const std::string& path, DWORD access, DWORD disposition, DWORD flags = 0) {
  BROOD_ASSIGN_OR_RETURN(const std::wstring wide, ToWide(path, "path"));
  UniqueFd file = Own(CreateFileW(AnyLength(wide).c_str(), access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
                                  disposition, FILE_ATTRIBUTE_NORMAL | flags, nullptr));
  if (!file.valid()) return LastErrorStatus("open", path);
  return file;
}

OVERLAPPED Offset(uint64_t offset) {
  OVERLAPPED at = {};
  at.Offset = static_cast<DWORD>(offset);
  at.OffsetHigh = static_cast<DWORD>(offset >> 32);
  return at;
}

DWORD Bounded(size_t size) { return static_cast<DWORD>(std::min<size_t>(size, 1u << 30)); }

absl::Status MoveTo(int file, int64_t offset, DWORD from, std::string_view name) {
  LARGE_INTEGER to;
  to.QuadPart = offset;
  return SetFilePointerEx(HandleOf(file), to, nullptr, from) ? absl::OkStatus() : LastErrorStatus("seek", name);
}

// Far behind the end of any file. A lock on bytes that are there would keep others from reading them: LockFileEx.
constexpr uint64_t kLockedByte = uint64_t{1} << 62;

}  // namespace

absl::StatusOr<UniqueFd> OpenToRead(const std::string& path) { return Open(path, GENERIC_READ, OPEN_EXISTING); }
absl::StatusOr<UniqueFd> OpenToReplace(const std::string& path, const UntrustedDirectories&) { return Open(path, GENERIC_WRITE, CREATE_ALWAYS); }

absl::StatusOr<UniqueFd> OpenToAppend(const std::string& path, const UntrustedDirectories&) {
  BROOD_ASSIGN_OR_RETURN(UniqueFd file, Open(path, GENERIC_READ | GENERIC_WRITE, OPEN_ALWAYS));
  if (GetFileType(HandleOf(file.get())) == FILE_TYPE_DISK) BROOD_RETURN_IF_ERROR(MoveTo(file.get(), 0, FILE_END, path));
  return file;
}

int StandardInput() { return FdOf(GetStdHandle(STD_INPUT_HANDLE)); }
int StandardOutput() { return FdOf(GetStdHandle(STD_OUTPUT_HANDLE)); }

absl::StatusOr<FileFacts> FactsOf(int file, std::string_view name) {
  const DWORD type = GetFileType(HandleOf(file));
  if (type == FILE_TYPE_UNKNOWN && GetLastError() != NO_ERROR) return LastErrorStatus("GetFileType", name);
  if (type != FILE_TYPE_DISK) return FileFacts();
  BY_HANDLE_FILE_INFORMATION facts = {};
  if (!GetFileInformationByHandle(HandleOf(file), &facts)) return LastErrorStatus("GetFileInformationByHandle", name);
  return FileFacts{.regular = (facts.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) == 0,
                   .bytes = (uint64_t{facts.nFileSizeHigh} << 32) | facts.nFileSizeLow,
                   .identity = {facts.dwVolumeSerialNumber, (uint64_t{facts.nFileIndexHigh} << 32) | facts.nFileIndexLow}};
}

absl::StatusOr<FileFacts> FactsAt(const std::string& path) {
  // FILE_FLAG_BACKUP_SEMANTICS: folders, too.
  BROOD_ASSIGN_OR_RETURN(const UniqueFd file, Open(path, 0, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS));
  return FactsOf(file.get(), path);
}

absl::StatusOr<size_t> ReadSome(int file, char* to, size_t size, std::string_view name) {
  DWORD count = 0;
  if (::ReadFile(HandleOf(file), to, Bounded(size), &count, nullptr)) return count;
  // The end of a pipe is an error.
  if (const DWORD error = GetLastError(); error != ERROR_BROKEN_PIPE && error != ERROR_HANDLE_EOF) {
    return WindowsStatus(error, "read", name);
  }
  return 0;
}

absl::StatusOr<size_t> ReadAt(int file, uint64_t offset, char* to, size_t size, std::string_view name) {
  LARGE_INTEGER here = {};
  if (!SetFilePointerEx(HandleOf(file), {}, &here, FILE_CURRENT)) return LastErrorStatus("seek", name);
  OVERLAPPED at = Offset(offset);
  DWORD count = 0;
  if (!::ReadFile(HandleOf(file), to, Bounded(size), &count, &at)) {
    if (const DWORD error = GetLastError(); error != ERROR_HANDLE_EOF) return WindowsStatus(error, "read", name);
  }
  // Such a read moves the place of a handle that is not overlapped. ReadFile, "lpOverlapped".
  BROOD_RETURN_IF_ERROR(MoveTo(file, here.QuadPart, FILE_BEGIN, name));
  return count;
}

absl::StatusOr<size_t> WriteSome(int file, std::string_view text, std::string_view name) {
  DWORD count = 0;
  if (!WriteFile(HandleOf(file), text.data(), Bounded(text.size()), &count, nullptr)) return LastErrorStatus("write", name);
  return count;
}

absl::Status Truncate(int file, uint64_t bytes, std::string_view name) {
  BROOD_RETURN_IF_ERROR(MoveTo(file, static_cast<int64_t>(bytes), FILE_BEGIN, name));
  return SetEndOfFile(HandleOf(file)) ? absl::OkStatus() : LastErrorStatus("SetEndOfFile", name);
}

absl::Status ToBeginning(int file, std::string_view name) { return MoveTo(file, 0, FILE_BEGIN, name); }

absl::Status Sync(int file, std::string_view name) {
  return FlushFileBuffers(HandleOf(file)) ? absl::OkStatus() : LastErrorStatus("FlushFileBuffers", name);
}

// FlushFileBuffers of a file makes its name durable, too: NTFS keeps names in its log.
absl::Status SyncDirectoryOf(const std::string& /*path*/) { return absl::OkStatus(); }

absl::StatusOr<bool> TryLock(int file, std::string_view name) {
  OVERLAPPED at = Offset(kLockedByte);
  if (LockFileEx(HandleOf(file), LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)) return true;
  const DWORD error = GetLastError();
  if (error != ERROR_LOCK_VIOLATION && error != ERROR_IO_PENDING) return WindowsStatus(error, "lock", name);
  return false;
}

// Only taking it tells; whoever wants it at that moment tries again.
absl::StatusOr<bool> IsLocked(int file, std::string_view name) {
  BROOD_ASSIGN_OR_RETURN(const bool taken, TryLock(file, name));
  if (!taken) return true;
  OVERLAPPED at = Offset(kLockedByte);
  if (!UnlockFileEx(HandleOf(file), 0, 1, 0, &at)) return LastErrorStatus("unlock", name);
  return false;
}

}  // namespace brood
