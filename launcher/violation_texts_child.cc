#include "launcher/violation_texts_child.h"

#include <linux/audit.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>

namespace brood::child {
namespace {

// A bit for each argument that is text, ended by a zero byte; and the argument that is a socket address, before its length.
struct TextArguments {
  int number;
  uint8_t texts;
  int8_t address;
};

constexpr uint8_t kFirst = 1, kSecond = 2, kThird = 4, kFourth = 8, kFifth = 16;

constexpr TextArguments kCalls[] = {
    {SYS_openat, kSecond, -1},          {SYS_openat2, kSecond, -1},         {SYS_execve, kFirst, -1},
    {SYS_execveat, kSecond, -1},        {SYS_newfstatat, kSecond, -1},      {SYS_statx, kSecond, -1},
    {SYS_faccessat, kSecond, -1},       {SYS_faccessat2, kSecond, -1},      {SYS_readlinkat, kSecond, -1},
    {SYS_mkdirat, kSecond, -1},         {SYS_unlinkat, kSecond, -1},        {SYS_renameat2, kSecond | kFourth, -1},
    {SYS_linkat, kSecond | kFourth, -1}, {SYS_symlinkat, kFirst | kThird, -1}, {SYS_fchmodat, kSecond, -1},
    {SYS_fchownat, kSecond, -1},        {SYS_mknodat, kSecond, -1},         {SYS_truncate, kFirst, -1},
    {SYS_chdir, kFirst, -1},            {SYS_chroot, kFirst, -1},           {SYS_mount, kFirst | kSecond | kThird | kFifth, -1},
    {SYS_umount2, kFirst, -1},          {SYS_pivot_root, kFirst | kSecond, -1}, {SYS_swapon, kFirst, -1},
    {SYS_swapoff, kFirst, -1},          {SYS_acct, kFirst, -1},             {SYS_statfs, kFirst, -1},
    {SYS_setxattr, kFirst | kSecond, -1}, {SYS_lsetxattr, kFirst | kSecond, -1}, {SYS_getxattr, kFirst | kSecond, -1},
    {SYS_lgetxattr, kFirst | kSecond, -1}, {SYS_listxattr, kFirst, -1},     {SYS_llistxattr, kFirst, -1},
    {SYS_removexattr, kFirst | kSecond, -1}, {SYS_lremovexattr, kFirst | kSecond, -1}, {SYS_utimensat, kSecond, -1},
    {SYS_inotify_add_watch, kSecond, -1}, {SYS_name_to_handle_at, kSecond, -1}, {SYS_fanotify_mark, kFifth, -1},
    {SYS_open_tree, kSecond, -1},       {SYS_move_mount, kSecond | kFourth, -1}, {SYS_fsopen, kFirst, -1},
    {SYS_fspick, kSecond, -1},          {SYS_init_module, kThird, -1},      {SYS_finit_module, kSecond, -1},
    {SYS_delete_module, kFirst, -1},    {SYS_add_key, kFirst | kSecond, -1}, {SYS_request_key, kFirst | kSecond | kThird, -1},
    {SYS_memfd_create, kFirst, -1},     {SYS_mq_open, kFirst, -1},          {SYS_mq_unlink, kFirst, -1},
    {SYS_quotactl, kSecond, -1},        {SYS_connect, 0, 1},                {SYS_bind, 0, 1},
    {SYS_sendto, 0, 4},
#ifdef SYS_open  // Of older architectures only, as the others here.
    {SYS_open, kFirst, -1},             {SYS_creat, kFirst, -1},            {SYS_stat, kFirst, -1},
    {SYS_lstat, kFirst, -1},            {SYS_access, kFirst, -1},           {SYS_readlink, kFirst, -1},
    {SYS_mkdir, kFirst, -1},            {SYS_rmdir, kFirst, -1},            {SYS_unlink, kFirst, -1},
    {SYS_rename, kFirst | kSecond, -1}, {SYS_renameat, kSecond | kFourth, -1}, {SYS_link, kFirst | kSecond, -1},
    {SYS_symlink, kFirst | kSecond, -1}, {SYS_chmod, kFirst, -1},           {SYS_chown, kFirst, -1},
    {SYS_lchown, kFirst, -1},           {SYS_mknod, kFirst, -1},            {SYS_utimes, kFirst, -1},
    {SYS_utime, kFirst, -1},            {SYS_futimesat, kSecond, -1},
#endif
};

#if defined(__x86_64__)
constexpr uint32_t kNative = AUDIT_ARCH_X86_64;
#else
constexpr uint32_t kNative = AUDIT_ARCH_AARCH64;
#endif

// Up to `size` bytes from there, as many as can be read. No read goes across a page that may not be there.
size_t Read(pid_t thread, uint64_t address, char* to, size_t size) {
  size_t length = 0;
  while (length < size) {
    constexpr uint64_t kLeastPage = 4096;
    const size_t part = std::min<size_t>(kLeastPage - (address + length) % kLeastPage, size - length);
    iovec ours = {to + length, part};
    iovec theirs = {reinterpret_cast<void*>(address + length), part};
    const ssize_t n = process_vm_readv(thread, &ours, 1, &theirs, 1, 0);
    if (n <= 0) break;
    length += static_cast<size_t>(n);
    if (static_cast<size_t>(n) < part) break;
  }
  return length;
}

}  // namespace

void CopyViolationTexts(const seccomp_notif& call, GuardianReport* report) {
  if (call.data.arch != kNative) return;
  const TextArguments* const found =
      std::find_if(std::begin(kCalls), std::end(kCalls), [&](const TextArguments& one) { return one.number == call.data.nr; });
  if (found == std::end(kCalls)) return;
  for (uint8_t i = 0; i < 6 && report->violation_text_count < std::size(report->violation_texts); ++i) {
    const bool address = found->address == i;
    if ((!address && (found->texts >> i & 1) == 0) || call.data.args[i] == 0) continue;
    ArgumentText& text = report->violation_texts[report->violation_text_count];
    size_t wanted = sizeof(text.bytes);
    if (address) wanted = std::min<size_t>(wanted, call.data.args[i + 1] & 0xffffffff);  // An int.
    const size_t length = Read(static_cast<pid_t>(call.pid), call.data.args[i], text.bytes, wanted);
    if (length == 0) continue;
    const size_t end = address ? length : strnlen(text.bytes, length);
    text.argument = i;
    text.length = static_cast<uint8_t>(end);
    text.cut = end == sizeof(text.bytes) ? 1 : 0;
    ++report->violation_text_count;
  }
}

}  // namespace brood::child
