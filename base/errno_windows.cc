// Numbers of the C runtime, with the names and texts that they have on Linux. Windows' own are in windows_error.cc.
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood {
namespace {

// The C runtime has no such error; policies for Linux have it, whose number there nothing here has.
constexpr int kSocketTypeNotSupported = 94;

struct Row {
  int number;
  const char* name;
  const char* text;
};

// The C runtime has its texts in strerror, which differ, and no names.
constexpr Row kRows[] = {
    {EPERM, "EPERM", "Operation not permitted"},
    {ENOENT, "ENOENT", "No such file or directory"},
    {ESRCH, "ESRCH", "No such process"},
    {EINTR, "EINTR", "Interrupted system call"},
    {EIO, "EIO", "Input/output error"},
    {ENXIO, "ENXIO", "No such device or address"},
    {E2BIG, "E2BIG", "Argument list too long"},
    {ENOEXEC, "ENOEXEC", "Exec format error"},
    {EBADF, "EBADF", "Bad file descriptor"},
    {ECHILD, "ECHILD", "No child processes"},
    {EAGAIN, "EAGAIN", "Resource temporarily unavailable"},
    {ENOMEM, "ENOMEM", "Cannot allocate memory"},
    {EACCES, "EACCES", "Permission denied"},
    {EFAULT, "EFAULT", "Bad address"},
    {EBUSY, "EBUSY", "Device or resource busy"},
    {EEXIST, "EEXIST", "File exists"},
    {EXDEV, "EXDEV", "Invalid cross-device link"},
    {ENODEV, "ENODEV", "No such device"},
    {ENOTDIR, "ENOTDIR", "Not a directory"},
    {EISDIR, "EISDIR", "Is a directory"},
    {EINVAL, "EINVAL", "Invalid argument"},
    {ENFILE, "ENFILE", "Too many open files in system"},
    {EMFILE, "EMFILE", "Too many open files"},
    {ENOTTY, "ENOTTY", "Inappropriate ioctl for device"},
    {EFBIG, "EFBIG", "File too large"},
    {ENOSPC, "ENOSPC", "No space left on device"},
    {ESPIPE, "ESPIPE", "Illegal seek"},
    {EROFS, "EROFS", "Read-only file system"},
    {EMLINK, "EMLINK", "Too many links"},
    {EPIPE, "EPIPE", "Broken pipe"},
    {EDOM, "EDOM", "Numerical argument out of domain"},
    {ERANGE, "ERANGE", "Numerical result out of range"},
    {EDEADLK, "EDEADLK", "Resource deadlock avoided"},
    {ENAMETOOLONG, "ENAMETOOLONG", "File name too long"},
    {ENOLCK, "ENOLCK", "No locks available"},
    {ENOSYS, "ENOSYS", "Function not implemented"},
    {ENOTEMPTY, "ENOTEMPTY", "Directory not empty"},
    {EILSEQ, "EILSEQ", "Invalid or incomplete multibyte or wide character"},
    {EADDRINUSE, "EADDRINUSE", "Address already in use"},
    {EADDRNOTAVAIL, "EADDRNOTAVAIL", "Cannot assign requested address"},
    {EAFNOSUPPORT, "EAFNOSUPPORT", "Address family not supported by protocol"},
    {ECANCELED, "ECANCELED", "Operation canceled"},
    {ECONNABORTED, "ECONNABORTED", "Software caused connection abort"},
    {ECONNREFUSED, "ECONNREFUSED", "Connection refused"},
    {ECONNRESET, "ECONNRESET", "Connection reset by peer"},
    {EHOSTUNREACH, "EHOSTUNREACH", "No route to host"},
    {EINPROGRESS, "EINPROGRESS", "Operation now in progress"},
    {ELOOP, "ELOOP", "Too many levels of symbolic links"},
    {EMSGSIZE, "EMSGSIZE", "Message too long"},
    {ENETUNREACH, "ENETUNREACH", "Network is unreachable"},
    {ENOBUFS, "ENOBUFS", "No buffer space available"},
    {ENOTCONN, "ENOTCONN", "Transport endpoint is not connected"},
    {ENOTSOCK, "ENOTSOCK", "Socket operation on non-socket"},
    {ENOTSUP, "ENOTSUP", "Operation not supported"},
    {EOVERFLOW, "EOVERFLOW", "Value too large for defined data type"},
    {EPROTO, "EPROTO", "Protocol error"},
    {EPROTONOSUPPORT, "EPROTONOSUPPORT", "Protocol not supported"},
    {kSocketTypeNotSupported, "ESOCKTNOSUPPORT", "Socket type not supported"},
    {ETIMEDOUT, "ETIMEDOUT", "Connection timed out"},
};

const Row* RowOf(int number) {
  for (const Row& row : kRows) {
    if (row.number == number) return &row;
  }
  return nullptr;
}

}  // namespace

std::string ErrnoName(int error_number) {
  const Row* row = RowOf(error_number);
  return row != nullptr ? std::string(row->name) : absl::StrCat("errno ", error_number);
}

std::string ErrnoText(int error_number) {
  const Row* row = RowOf(error_number);
  return row != nullptr ? absl::StrCat(row->name, " (", row->text, ")") : ErrnoName(error_number);
}

int ErrnoFromName(std::string_view name) {
  for (const Row& row : kRows) {
    if (name == row.name) return row.number;
  }
  return 0;
}

}  // namespace brood
