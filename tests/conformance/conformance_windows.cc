#include <windows.h>
// After windows.h, whose types it needs.
#include <tlhelp32.h>

#include <cstdio>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/own_process.h"
#include "base/windows_handle.h"
#include "base/windows_text.h"
#include "ipc/wait.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

// False at the end.
bool ReadInto(int file, std::string* text) {
  char buffer[4096];
  DWORD count = 0;
  if (!ReadFile(HandleOf(file), buffer, sizeof(buffer), &count, nullptr) || count == 0) return false;
  text->append(buffer, count);
  return true;
}

}  // namespace

RawPipe::RawPipe() {
  HANDLE ends[2] = {};
  EXPECT_TRUE(CreatePipe(&ends[0], &ends[1], nullptr, 0));
  reader = Own(ends[0]);
  writer = Own(ends[1]);
}

bool IsReadable(int fd, int timeout_ms) {
  const auto ready = Wait({fd}, absl::Milliseconds(timeout_ms));
  return ready.ok() && !ready->empty();
}

bool EndsWithinPatience(int fd) {
  std::string unused;
  while (IsReadable(fd, kPatienceMs)) {
    if (!ReadInto(fd, &unused)) return true;
  }
  return false;
}

std::string ReadToEnd(int fd) {
  std::string text;
  while (IsReadable(fd, kPatienceMs)) {
    if (!ReadInto(fd, &text)) return text;
  }
  return absl::StrCat(text, " and no end");
}

// Line feeds come as "\r\n" from the C library of a child.
std::string ReadFromStart(const UniqueFd& file) {
  std::string text;
  SetFilePointerEx(HandleOf(file.get()), {}, nullptr, FILE_BEGIN);
  while (ReadInto(file.get(), &text)) {
  }
  std::erase(text, '\r');
  return text;
}

UniqueFd InheritableCopy(const UniqueFd& fd) {
  HANDLE copy = nullptr;
  EXPECT_TRUE(DuplicateHandle(GetCurrentProcess(), HandleOf(fd.get()), GetCurrentProcess(), &copy, 0, TRUE, DUPLICATE_SAME_ACCESS));
  return Own(copy);
}

// In the C library's copy as well.
void SetVariable(const char* name, const char* value) { EXPECT_EQ(_putenv_s(name, value), 0); }

std::string CommandLineAndEnvironment() {
  std::string text = ToUtf8(GetCommandLineW());
  wchar_t* const block = GetEnvironmentStringsW();
  for (const wchar_t* entry = block; *entry != L'\0'; entry += wcslen(entry) + 1) absl::StrAppend(&text, "\n", ToUtf8(entry));
  FreeEnvironmentStringsW(block);
  return text;
}

UniqueFd OpenPid(int pid) { return Own(OpenProcess(SYNCHRONIZE, FALSE, static_cast<DWORD>(pid))); }

std::set<int> ChildrenOfThisProcess() {
  std::set<int> children;
  const UniqueFd snapshot = Own(CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0));
  PROCESSENTRY32W entry = {};
  entry.dwSize = sizeof(entry);
  for (BOOL more = Process32FirstW(HandleOf(snapshot.get()), &entry); more; more = Process32NextW(HandleOf(snapshot.get()), &entry)) {
    if (entry.th32ParentProcessID == GetCurrentProcessId()) children.insert(static_cast<int>(entry.th32ProcessID));
  }
  return children;
}

char ReadByte(const UniqueFd& pipe) {
  char byte = 0;
  DWORD count = 0;
  return ReadFile(HandleOf(pipe.get()), &byte, 1, &count, nullptr) && count == 1 ? byte : '\0';
}

bool NobodyReads(const UniqueFd& pipe) {
  DWORD count = 0;
  return !WriteFile(HandleOf(pipe.get()), "x", 1, &count, nullptr) && GetLastError() == ERROR_NO_DATA;
}

std::vector<std::string> DoNothingProgram() { return {"cmd", "/c", "exit 0"}; }

std::string ProgramThatEndsAtOnce() {
  wchar_t folder[MAX_PATH] = {};
  GetSystemDirectoryW(folder, MAX_PATH);
  return ToUtf8(folder) + "\\hostname.exe";
}

TemporaryFolder::TemporaryFolder() {
  static int number = 0;
  path_ = absl::StrCat(testing::TempDir(), "brood-", GetCurrentProcessId(), "-", ++number);
  EXPECT_TRUE(std::filesystem::create_directory(path_));
}

TemporaryFolder::~TemporaryFolder() {
  // Bazel's own files are read-only, and so are copies of them, which Windows does not remove.
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
    std::filesystem::permissions(entry.path(), std::filesystem::perms::owner_write, std::filesystem::perm_options::add);
  }
  std::filesystem::remove_all(path_);
}

void Sleep() { SleepForEver(); }

void WaitForEnd(const UniqueFd& pipe) {
  while (ReadByte(pipe) != '\0') {
  }
}

void WriteByte(const UniqueFd& pipe, char byte) {
  DWORD count = 0;
  WriteFile(HandleOf(pipe.get()), &byte, 1, &count, nullptr);
}

}  // namespace brood
