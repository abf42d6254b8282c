#include "cli/probe/stage.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/random.h"
#include "base/status.h"

namespace brood::probe {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<std::string> RandomName() {
  std::string bytes(12, '\0');
  BROOD_RETURN_IF_ERROR(FillRandom(bytes.data(), bytes.size()));
  return absl::BytesToHexString(bytes);
}

std::string QueueName(const std::string& nonce) { return absl::StrCat("/brood-probe-", nonce); }

absl::Status MakeDirectory(const std::string& path, mode_t mode) {
  // chmod, since mkdir heeds the umask.
  if (mkdir(path.c_str(), mode) != 0 || chmod(path.c_str(), mode) != 0) return ErrnoStatus(errno, "mkdir", path);
  return absl::OkStatus();
}

absl::Status MakeFile(const std::string& path, const std::string& content, mode_t mode) {
  std::ofstream(path, std::ios::binary) << content;
  if (chmod(path.c_str(), mode) != 0) return ErrnoStatus(errno, "create", path);
  return absl::OkStatus();
}

std::string Content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

std::string Describe(const std::string& path) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) return "gone";
  char names[256] = "";
  const ssize_t size = llistxattr(path.c_str(), names, sizeof(names));
  std::string text = absl::StrCat(status.st_mode, " ", status.st_uid, " ", status.st_gid, " ", status.st_nlink, " ",
                                  status.st_size, " ", status.st_mtim.tv_sec, ".", status.st_mtim.tv_nsec, " ",
                                  status.st_ctim.tv_sec, ".", status.st_ctim.tv_nsec, " ",
                                  size > 0 ? std::string(names, static_cast<size_t>(size)) : "");
  if (S_ISREG(status.st_mode) && status.st_size < 4096) absl::StrAppend(&text, Content(path));
  return text;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Stage>> Stage::Create(const std::string& program, const Attack& attack) {
  std::unique_ptr<Stage> stage(new Stage);
  if (attack.name == "kill-all") stage->urgent_ = Victim::Urgent::kTold;
  BROOD_RETURN_IF_ERROR(stage->Fill(program));
  if (attack.family == "terminal") BROOD_RETURN_IF_ERROR(stage->MakeTerminal());
  return stage;
}

absl::Status Stage::Fill(const std::string& program) {
  BROOD_ASSIGN_OR_RETURN(nonce_, RandomName());
  BROOD_ASSIGN_OR_RETURN(secret_, RandomName());
  base_ = absl::StrCat("/tmp/brood-probe-", nonce_);
  shown_ = base_ + "/shown";
  hidden_ = base_ + "/hidden";
  BROOD_RETURN_IF_ERROR(MakeDirectory(base_, 0755));
  BROOD_RETURN_IF_ERROR(MakeDirectory(shown_, 0777));
  BROOD_RETURN_IF_ERROR(MakeDirectory(shown_ + "/directory", 0777));
  BROOD_RETURN_IF_ERROR(MakeFile(shown_ + "/directory/file", "shown\n", 0666));
  BROOD_RETURN_IF_ERROR(MakeFile(shown_ + "/file", "shown\n", 0666));
  std::error_code error;
  fs::copy_file(program, shown_ + "/attack", error);
  if (error) return absl::NotFoundError(absl::StrCat("copy ", program, ": ", error.message()));
  if (chmod((shown_ + "/attack").c_str(), 0755) != 0) return ErrnoStatus(errno, "chmod", shown_ + "/attack");
  BROOD_RETURN_IF_ERROR(MakeDirectory(hidden_, 0755));
  BROOD_RETURN_IF_ERROR(MakeDirectory(hidden_ + "/drop", 0777));
  BROOD_RETURN_IF_ERROR(MakeFile(hidden_ + "/secret", secret_, 0666));
  BROOD_RETURN_IF_ERROR(MakeFile(hidden_ + "/inherited", secret_, 0666));
  var_tmp_ = absl::StrCat("/var/tmp/brood-probe-", nonce_);
  dev_shm_ = absl::StrCat("/dev/shm/brood-probe-", nonce_);
  BROOD_RETURN_IF_ERROR(MakeFile(var_tmp_, secret_, 0666));
  BROOD_RETURN_IF_ERROR(MakeFile(dev_shm_, secret_, 0666));
  inherited_file_ = UniqueFd(open((hidden_ + "/inherited").c_str(), O_RDWR | O_CLOEXEC));
  if (!inherited_file_.valid()) return ErrnoStatus(errno, "open", hidden_ + "/inherited");
  BROOD_RETURN_IF_ERROR(MakeIpc());
  BROOD_ASSIGN_OR_RETURN(Victim victim, Victim::Start(shown_ + "/attack", secret_));
  victim_ = std::make_unique<Victim>(std::move(victim));
  BROOD_ASSIGN_OR_RETURN(Listeners listeners, Listeners::Create(hidden_, nonce_));
  listeners_ = std::make_unique<Listeners>(std::move(listeners));
  victim_before_ = victim_->State(urgent_);
  files_before_ = Files();
  return absl::OkStatus();
}

absl::Status Stage::MakeIpc() {
  memory_id_ = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0666);
  if (memory_id_ < 0) return ErrnoStatus(errno, "shmget");
  void* memory = shmat(memory_id_, nullptr, 0);
  // It goes when nobody has it attached any more; until then it can be attached by its number. shmctl(2), IPC_RMID.
  shmctl(memory_id_, IPC_RMID, nullptr);
  if (memory == reinterpret_cast<void*>(-1)) return ErrnoStatus(errno, "shmat");
  memory_ = static_cast<char*>(memory);
  memcpy(memory_, secret_.data(), secret_.size());
  semaphore_id_ = semget(IPC_PRIVATE, 1, IPC_CREAT | 0666);
  if (semaphore_id_ < 0) return ErrnoStatus(errno, "semget");
  messages_id_ = msgget(IPC_PRIVATE, IPC_CREAT | 0666);
  if (messages_id_ < 0) return ErrnoStatus(errno, "msgget");
  struct {
    long type = 1;
    char text[32] = "";
  } message;
  memcpy(message.text, secret_.data(), secret_.size());
  if (msgsnd(messages_id_, &message, secret_.size(), IPC_NOWAIT) != 0) return ErrnoStatus(errno, "msgsnd");
  const std::string name = QueueName(nonce_);
  queue_ = UniqueFd(mq_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666, nullptr));
  // Where the kernel has no message queues nobody can take from one.
  if (!queue_.valid()) return errno == ENOSYS ? absl::OkStatus() : ErrnoStatus(errno, "mq_open", name);
  fchmod(queue_.get(), 0666);  // Whatever the umask.
  if (mq_send(queue_.get(), secret_.data(), secret_.size(), 0) != 0) return ErrnoStatus(errno, "mq_send", name);
  return absl::OkStatus();
}

absl::Status Stage::MakeTerminal() {
  keyboard_ = UniqueFd(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  if (!keyboard_.valid() || unlockpt(keyboard_.get()) != 0) return ErrnoStatus(errno, "open a terminal");
  terminal_ = UniqueFd(ioctl(keyboard_.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal_.valid()) return ErrnoStatus(errno, "open a terminal", "TIOCGPTPEER");
  return absl::OkStatus();
}

Stage::~Stage() {
  if (memory_ != nullptr) shmdt(memory_);
  if (semaphore_id_ >= 0) semctl(semaphore_id_, 0, IPC_RMID);
  if (messages_id_ >= 0) msgctl(messages_id_, IPC_RMID, nullptr);
  if (queue_.valid()) mq_unlink(QueueName(nonce_).c_str());
  std::error_code ignored;
  if (!base_.empty()) fs::remove_all(base_, ignored);
  if (!var_tmp_.empty()) fs::remove(var_tmp_, ignored);
  if (!dev_shm_.empty()) fs::remove(dev_shm_, ignored);
  if (!nonce_.empty()) RemoveWhatIsLeft();
}

// What an attack has made for itself outside, where nothing stopped it, and was ended before it took it away. One by one: there
// may be a mount.
void Stage::RemoveWhatIsLeft() const {
  std::error_code error, ignored;
  const std::string watched = absl::StrCat("/tmp/watches-", nonce_);
  for (fs::directory_iterator it(watched, error), last; !error && it != last; it.increment(error)) fs::remove(it->path(), ignored);
  std::vector<fs::path> left;
  for (fs::directory_iterator it("/tmp", error), last; !error && it != last; it.increment(error)) {
    if (absl::EndsWith(it->path().filename().string(), absl::StrCat("-", nonce_))) left.push_back(it->path());
  }
  for (const fs::path& path : left) fs::remove(path, ignored);
}

std::vector<std::string> Stage::Facts() const {
  const auto inode = [](const char* path) {
    struct stat status;
    return stat(path, &status) == 0 ? status.st_ino : 0;
  };
  std::vector<std::string> facts = {
      absl::StrCat("shown=", shown_),
      absl::StrCat("probe=", getpid()),
      absl::StrCat("secret=", hidden_, "/secret"),
      absl::StrCat("drop=", hidden_, "/drop"),
      absl::StrCat("var_tmp=", var_tmp_),
      absl::StrCat("dev_shm=", dev_shm_),
      absl::StrCat("etc_inode=", inode("/etc")),
      absl::StrCat("net_inode=", inode("/proc/self/ns/net")),
      absl::StrCat("shared_memory=", memory_id_),
      absl::StrCat("semaphore=", semaphore_id_),
      absl::StrCat("messages=", messages_id_),
      absl::StrCat("victim=", victim_->pid()),
      absl::StrCat("victim_secret=", victim_->secret_address()),
      absl::StrCat("victim_word=", victim_->word_address()),
  };
  facts.insert(facts.end(), listeners_->facts().begin(), listeners_->facts().end());
  return facts;
}

void Stage::BurdenLauncher() const {
  // Low and high numbers; a high one above the limit cannot be had.
  const int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (const int number : {9, 1023, 4096}) dup2(root, number);
  dup2(inherited_file_.get(), 10);
  setenv("BROOD_PROBE_SECRET", secret_.c_str(), 1);
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0) {
    syscall(SYS_add_key, "user", "brood-probe", secret_.data(), secret_.size(), KEY_SPEC_SESSION_KEYRING);
  }
  if (geteuid() == 0) {
    const gid_t groups[] = {4, 24};  // adm and cdrom on Debian: they may read logs.
    if (setgroups(2, groups) != 0) return;
  }
}

std::map<std::string, std::string> Stage::Files() const {
  std::map<std::string, std::string> files = {
      {var_tmp_, Describe(var_tmp_)}, {dev_shm_, Describe(dev_shm_)}, {base_, Describe(base_)}};
  std::error_code error;
  for (fs::recursive_directory_iterator it(base_, error), end; !error && it != end; it.increment(error)) {
    files[it->path().string()] = Describe(it->path().string());
  }
  return files;
}

std::string Stage::SharedObjects() {
  std::string text;
  const std::string_view memory(memory_, 4096);
  if (memory.substr(secret_.size()).find_first_not_of('\0') != std::string_view::npos) text = "shared memory was written to; ";
  if (semctl(semaphore_id_, 0, GETVAL) != 0) absl::StrAppend(&text, "the semaphore was changed; ");
  if (!keyboard_.valid()) return text;
  char buffer[1024];
  // The terminal echoes what is typed, by whomever.
  for (ssize_t count = 0; (count = read(keyboard_.get(), buffer, sizeof(buffer))) > 0;) {
    echo_.append(buffer, static_cast<size_t>(count));
  }
  if (absl::StrContains(echo_, nonce_)) absl::StrAppend(&text, "something was typed into the terminal; ");
  return text;
}

std::string Stage::Harm() {
  std::vector<std::string> harms;
  if (const std::string shared = SharedObjects(); !shared.empty()) harms.push_back(shared);
  if (const std::string victim = victim_->State(urgent_); victim != victim_before_) {
    harms.push_back(absl::StrCat("the process outside: ", victim));
  }
  if (const std::string reached = listeners_->Reached(); !reached.empty()) {
    harms.push_back(absl::StrCat("a message came in: ", reached));
  }
  std::map<std::string, std::string> files = Files();
  for (const auto& [path, before] : files_before_) {
    if (const auto now = files.find(path); now == files.end()) {
      harms.push_back(absl::StrCat(path, " is gone"));
    } else if (now->second != before) {
      harms.push_back(absl::StrCat(path, " has changed"));
    }
  }
  for (const auto& [path, now] : files) {
    if (files_before_.find(path) == files_before_.end()) harms.push_back(absl::StrCat(path, " was made"));
  }
  return absl::StrJoin(harms, "; ");
}

}  // namespace brood::probe
