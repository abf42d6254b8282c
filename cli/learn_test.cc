// `brood policy learn` on real programs: what it writes is enough for the program, and for nothing else.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "cli/testdata/brood_under_test.h"
#include "cli/testdata/learning.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

using LearnTest = LearningTest;

void Write(const std::string& path, std::string_view content) { std::ofstream(path) << content; }

TEST_F(LearnTest, AStaticProgramPasses) { ExpectEnough({Helper("does_nothing")}); }

TEST_F(LearnTest, ADynamicProgramPasses) { ExpectEnough({"/bin/echo", "hello"}); }

TEST_F(LearnTest, AProgramWithThreadsPasses) { ExpectEnough({Helper("changes_address"), "1", "2", "3"}); }

TEST_F(LearnTest, AShellAndItsPipelinePass) {
  ExpectEnough({"sh", "-c", "printf 'b\\na\\n' | sort | tr a-z A-Z; echo done"});
}

TEST_F(LearnTest, FilesThatAreMovedFromOneDirectoryToAnotherPass) {
  for (const char* name : {"/from", "/to"}) std::filesystem::create_directory(directory_ + name);
  Write(directory_ + "/from/kept", "kept\n");
  const std::string script = "cd " + directory_ + "; echo moved > from/a; mv from/a to/b; cat to/b; mv to/b from/c; ln from/kept to/link; cat to/link; rm to/link from/c";
  ExpectEnough({"sh", "-c", script});
  EXPECT_TRUE(Contains(FileContent(policy_), ", for moves between " + directory_ + "/from, " + directory_ + "/to")) << FileContent(policy_);
}

TEST_F(LearnTest, ALinkToADirectoryAndOneThatLeadsNowherePass) {
  std::filesystem::create_directory(directory_ + "/real");
  Write(directory_ + "/real/file", "content\n");
  std::filesystem::create_directory_symlink("real", directory_ + "/link");
  std::filesystem::create_symlink("nothing", directory_ + "/dangling");
  ExpectEnough({"readlink", directory_ + "/link"});
  std::filesystem::remove(policy_);
  ExpectEnough({"python3", "-c", "import os; d = '" + directory_ +
                                     "'; print(os.path.realpath(d + '/link/file'), open(d + '/link/file').read(), os.path.islink(d + '/link'), "
                                     "os.path.islink(d + '/dangling'), os.path.exists(d + '/dangling'), os.listdir(d + '/link'))"});
}

TEST_F(LearnTest, WhatIsAboveThePlaceThatALinkLeadsToPasses) {
  std::filesystem::create_directories(directory_ + "/real/below");
  Write(directory_ + "/real/file", "content\n");
  std::filesystem::create_directory_symlink("real/below", directory_ + "/link");
  ExpectEnough({"cat", directory_ + "/link/../file"});
}

TEST_F(LearnTest, ALinkOfTheSystemsThatIsLookedAtPasses) {
  if (!std::filesystem::is_symlink("/lib")) GTEST_SKIP() << "/lib is a directory here";
  ExpectEnough({"sh", "-c", "readlink /lib; realpath /lib/os-release; ls -d /lib/. "});
}

TEST_F(LearnTest, WhatARuleOfTheFileForbidsStaysForbiddenAndIsNamed) {
  Write(policy_, R"({"extends": "default", "syscalls": [{"names": ["getpgid"], "action": "kill"}, {"names": ["@identity-change"], "action": "kill"}]})");
  const std::vector<std::string> asks = {"python3", "-c", "import os; os.getpgid(0); os.setreuid(os.getuid(), os.getuid())"};
  const Finished learnt = Learn(asks);
  ASSERT_EQ(learnt.exit_code, 0) << learnt.err;
  for (const char* call : {"getpgid", "setreuid"}) {
    EXPECT_TRUE(Contains(learnt.err, std::string("not in the policy: system call ") + call + ": a rule of the file forbids it")) << learnt.err;
  }
  EXPECT_FALSE(Contains(FileContent(policy_), "\"allow\"")) << FileContent(policy_);
  EXPECT_EQ(Run(asks).exit_code, 159);
}

TEST_F(LearnTest, AListThatIsNullIsOneThatIsNotThere) {
  Write(policy_, R"({"extends": "strict", "files": null, "syscalls": null, "network": null})");
  ExpectEnough({"python3", "-c", "import os; print(os.sched_getscheduler(0)); os.setreuid(os.getuid(), os.getuid())"});
}

TEST_F(LearnTest, LsPasses) { ExpectEnough({"ls", "/usr/lib"}); }

TEST_F(LearnTest, PythonPasses) {
  if (access("/usr/bin/python3", X_OK) != 0) GTEST_SKIP() << "python3 is not installed";
  ExpectEnough({"/usr/bin/python3", "-c", "import json; print(json.dumps({'a': 1}))"});
}

TEST_F(LearnTest, PythonWithThreadsPasses) {
  if (access("/usr/bin/python3", X_OK) != 0) GTEST_SKIP() << "python3 is not installed";
  ExpectEnough({"/usr/bin/python3", "-c",
                "import threading\nts=[threading.Thread(target=sum, args=(range(9999),)) for _ in range(8)]\n"
                "[t.start() for t in ts]\n[t.join() for t in ts]\nprint('done')"});
}

TEST_F(LearnTest, BashWithChildrenPasses) {
  if (access("/bin/bash", X_OK) != 0) GTEST_SKIP() << "bash is not installed";
  ExpectEnough({"bash", "-c", "for i in 1 2 3; do (echo $i) | cat; done; x=$(date +%%); echo $x; exec sort </usr/lib/os-release"});
}

// Answers each connection with "hello" and closes it.
class Greeter {
 public:
  Greeter() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(socket_.get(), 16) != 0) abort();
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] {
      for (;;) {
        const UniqueFd connection(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!connection.valid()) return;
        EXPECT_EQ(send(connection.get(), "hello", 5, MSG_NOSIGNAL), 5);
      }
    });
  }
  ~Greeter() {
    shutdown(socket_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string port() const { return std::to_string(port_); }

 private:
  UniqueFd socket_;
  int port_ = 0;
  std::thread thread_;
};

TEST_F(LearnTest, AClientMayConnectToWhereItDidAndNowhereElse) {
  const Greeter greeter;
  const Greeter other;
  const std::string client = Helper("connects_to");
  ExpectEnough({client, "127.0.0.1", greeter.port()});
  EXPECT_EQ(Run({client, "127.0.0.1", greeter.port()}).out, "hello");
  EXPECT_EQ(Run({client, "127.0.0.1", other.port()}).out, "-13\n");
  const std::string line = "    \"127.0.0.1:" + greeter.port() + "\"  // connect by connects_to, once\n";
  EXPECT_TRUE(Contains(FileContent(policy_), line)) << FileContent(policy_);

  // A second destination joins the first.
  ExpectEnough({client, "127.0.0.1", other.port()});
  EXPECT_EQ(Run({client, "127.0.0.1", greeter.port()}).out, "hello");
}

TEST_F(LearnTest, WhatALinkInADirectoryThatWasListedLeadsToIsThere) {
  std::filesystem::create_directory(directory_ + "/listed");
  MakeFile("elsewhere/file", "found");
  std::filesystem::create_symlink("../elsewhere", directory_ + "/listed/over");
  std::filesystem::create_symlink(directory_ + "/listed/over/file", directory_ + "/listed/link");
  ExpectEnough({"sh", "-c", "ls $0/listed; cat $0/listed/link", directory_});
  EXPECT_TRUE(Contains(FileContent(policy_), "through " + directory_ + "/listed/link")) << FileContent(policy_);
}

TEST_F(LearnTest, ALinkThatWasReadIsALinkInside) {
  MakeFile("zone", "content");
  std::filesystem::create_symlink("zone", directory_ + "/local");
  ExpectEnough({"sh", "-c", "readlink $0/local; cat $0/local", directory_});
}

// Inside is a list of users of its own, and a lookup that fails there goes on to whatever nsswitch.conf names.
TEST_F(LearnTest, AUserWhoIsNotThereInsideIsLookedForNowhereElse) {
  ExpectEnough({"sh", "-c", "getent passwd daemon >/dev/null; echo done"});
  EXPECT_FALSE(Contains(FileContent(policy_), "nsswitch.conf"));
}

TEST_F(LearnTest, TheNameOfTheMachineHasItsAddressInside) {
  const std::vector<std::string> lookup = {"sh", "-c", "getent hosts $(uname -n)"};
  if (std::system("getent hosts $(uname -n) >/dev/null 2>&1") != 0) GTEST_SKIP() << "the name of this machine has no address";
  ExpectEnough(lookup);
}

TEST_F(LearnTest, AFileWithoutANameInTmpIsMadeInATmpOfItsOwn) {
  if (access("/usr/bin/python3", X_OK) != 0) GTEST_SKIP() << "python3 is not installed";
  ExpectEnough({"/usr/bin/python3", "-c", "import os; os.write(os.open('/tmp', os.O_TMPFILE | os.O_RDWR), b'x'); print('made')"});
  EXPECT_TRUE(Contains(FileContent(policy_), R"({"tmpfs": "/tmp"})")) << FileContent(policy_);
}

TEST_F(LearnTest, AServerAndItsClientHaveALoopbackOfTheirOwn) {
  if (access("/usr/bin/python3", X_OK) != 0) GTEST_SKIP() << "python3 is not installed";
  ExpectEnough({"/usr/bin/python3", "-c",
                "import socket\ns=socket.create_server(('127.0.0.1', 0))\nc=socket.create_connection(s.getsockname())\n"
                "c.sendall(b'x')\nprint(s.accept()[0].recv(1))"});
  EXPECT_TRUE(Contains(FileContent(policy_), R"("network": {"mode": "loopback"},  // listen by python3, once)")) << FileContent(policy_);
}

TEST_F(LearnTest, GzipOfAFileMayWriteItsDirectoryAndNothingElse) {
  const std::string file = directory_ + "/data/file";
  std::filesystem::create_directory(directory_ + "/data");
  std::filesystem::copy_file("/usr/lib/os-release", file);
  ASSERT_EQ(Learn({"gzip", "-kf", file}).exit_code, 0);
  std::filesystem::remove(file + ".gz");
  const Finished run = Run({"gzip", "-kf", file});
  EXPECT_EQ(run.exit_code, 0) << run.err << FileContent(policy_);
  EXPECT_TRUE(std::filesystem::exists(file + ".gz"));
  EXPECT_TRUE(Contains(FileContent(policy_), "{\"path\": \"" + directory_ + "/data\", \"access\": \"rw\"}")) << FileContent(policy_);
  EXPECT_TRUE(Contains(FileContent(policy_), "by gzip")) << FileContent(policy_);
  EXPECT_EQ(Run({"gzip", "-l", directory_ + "/policy.json"}).exit_code, 1);
}

TEST_F(LearnTest, AnythingElseIsAViolationThatNamesTheLineWhichAllowsIt) {
  const std::string program = Helper("makes_call");
  ASSERT_EQ(Learn({program, "39"}).exit_code, 0);  // getpid
  const Finished run = Run({program, "63", "0"});  // uname
  EXPECT_EQ(run.exit_code, 159) << run.err;
  const std::string line = R"({"names": ["uname"], "action": "allow"})";
  EXPECT_TRUE(Contains(run.err, line)) << run.err;

  std::string text = FileContent(policy_);
  const std::string field = "\"syscalls\": [\n";
  text.insert(text.find(field) + field.size(), line + ",\n");
  const std::string mended = TempFile("mended.json", text);
  EXPECT_EQ(RunBrood({"run", "--policy", mended, "--", program, "63", "0"}).out, "-14\n");
}

TEST_F(LearnTest, TheLineThatAViolationNamesAllowsIt) {
  const std::string program = Helper("makes_call");
  // socket, ioctl (TIOCSTI), personality, unshare, ptrace, reboot (with a magic number that does nothing).
  const std::vector<std::vector<std::string>> calls = {
      {"41", "2", "1", "0"}, {"16", "99", "0x5412"}, {"135", "0x20000"}, {"272", "0x10000000"}, {"101", "99"}, {"169", "0"}};
  for (const std::vector<std::string>& call : calls) {
    std::vector<std::string> run = {"run", "--policy", "strict", "--ro", program, "--", program};
    run.insert(run.end(), call.begin(), call.end());
    const Finished refused = RunBrood(run);
    ASSERT_EQ(refused.exit_code, 159) << call[0] << refused.err;
    const size_t begin = refused.err.find("{\"names\"");
    const std::string end_mark = "\"action\": \"allow\"}";
    ASSERT_TRUE(begin != std::string::npos && Contains(refused.err, end_mark + " in \"syscalls\" of a policy that extends strict")) << refused.err;
    const std::string line = refused.err.substr(begin, refused.err.find(end_mark) + end_mark.size() - begin);
    run[2] = TempFile("allows.json", R"({"extends": "strict", "syscalls": [)" + line + R"(,
      {"names": ["ioctl"], "args": [{"index": 1, "op": "==", "value": "0x5401"}], "action": "allow"}]})");
    const Finished allowed = RunBrood(run);
    EXPECT_EQ(allowed.exit_code, 0) << line << allowed.err;
  }
}

TEST_F(LearnTest, FurtherRunsAreMergedAndKeepTheEvidence) {
  const std::string program = Helper("makes_call");
  ASSERT_EQ(Learn({program, "111"}).exit_code, 0);
  ASSERT_EQ(Learn({program, "63", "0"}).exit_code, 0);
  const std::string merged = FileContent(policy_);
  EXPECT_TRUE(Contains(merged, R"({"names": ["getpgrp"], "action": "allow"},  // by makes_call, once)")) << merged;
  EXPECT_TRUE(Contains(merged, R"({"names": ["uname"], "action": "allow"}  // by makes_call, once)")) << merged;
  EXPECT_EQ(Run({program, "111"}).exit_code, 0);
  EXPECT_EQ(Run({program, "63", "0"}).exit_code, 0);
  ASSERT_EQ(Learn({program, "63", "0"}).exit_code, 0);
  EXPECT_EQ(FileContent(policy_), merged);
}

// As gzip opens the directory of its file.
TEST_F(LearnTest, ASlashAtTheEndOfADirectoryMakesNoDifference) {
  const std::string data = directory_ + "/data";
  std::filesystem::create_directory(data);
  for (const char* name : {"/one", "/two"}) std::filesystem::copy_file("/usr/lib/os-release", data + name);
  std::filesystem::create_symlink("/usr/lib/os-release", data + "/link");
  ASSERT_EQ(Learn({"sh", "-c", "ls " + data + "/ && cat " + data + "/one"}).exit_code, 0);
  const std::string first = FileContent(policy_);
  EXPECT_TRUE(Contains(first, "{\"path\": \"" + data + "\"}")) << first;
  EXPECT_FALSE(Contains(first, "{\"path\": \"" + data + "/")) << first;
  // What is below is shown already, where a link leads inside too.
  const std::vector<std::string> further = {"sh", "-c", "cat " + data + "/two " + data + "/link"};
  ASSERT_EQ(Learn(further).exit_code, 0);
  EXPECT_FALSE(Contains(FileContent(policy_), data + "/two\"")) << FileContent(policy_);
  EXPECT_EQ(Run(further).exit_code, 0) << FileContent(policy_);
}

TEST_F(LearnTest, AttacksAreNamedAndNotAllowed) {
  const std::string program = Helper("makes_call");
  const Finished learnt = Learn({program, "165"});  // mount
  EXPECT_TRUE(Contains(learnt.err, "not in the policy: system call mount, by makes_call, once")) << learnt.err;
  EXPECT_EQ(Run({program, "165"}).exit_code, 159);
}

TEST_F(LearnTest, WhatAnAuthorWroteStaysAsItIs) {
  const std::string program = Helper("makes_call");
  const std::string before =
      "// Mine.\n{ \"extends\": \"strict\", // why\n  \"limits\": {\"memory\": \"64M\"}, \"hostname\": \"box\",\n"
      "  \"syscalls\": [ {\"names\": [\"uname\"], \"action\": \"errno\", \"errno\": \"EACCES\"} ] }\n";
  policy_ = TempFile("own.json", before);
  const Finished learnt = Learn({program, "40", "0", "0", "0"});  // sendfile, which strict allows; 63, uname, is refused
  ASSERT_EQ(learnt.exit_code, 0) << learnt.err;
  ASSERT_EQ(Learn({program, "63", "0"}).exit_code, 0);
  const std::string after = FileContent(policy_);
  EXPECT_TRUE(Contains(after, "\"extends\": \"strict\", // why\n  \"limits\": {\"memory\": \"64M\"}, \"hostname\": \"box\",\n")) << after;
  EXPECT_TRUE(Contains(after, R"([ {"names": ["uname"], "action": "errno", "errno": "EACCES"} ])")) << after;
  EXPECT_TRUE(Contains(after, "// Not in the policy: system call uname: the file answers with an error\n")) << after;
  EXPECT_EQ(Run({program, "63", "0"}).out, "-13\n");
}

// A child that is ended has ended by itself in one run and not in the next; there are none but the program's own.
TEST_F(LearnTest, ASignalToOnesOwnIsAlwaysAllowed) {
  const std::string program = Helper("makes_call");
  ASSERT_EQ(Learn({program, "39"}).exit_code, 0);                   // getpid
  EXPECT_EQ(Run({program, "62", "999999", "0"}).out, "-3\n");  // kill: ESRCH
}

// strict answers a pair of sockets with EACCES, which a program that got one may not expect.
TEST_F(LearnTest, WhatTheBuiltInRefusesAndTheProgramGotIsAllowed) {
  if (access("/usr/bin/python3", X_OK) != 0) GTEST_SKIP() << "python3 is not installed";
  policy_ = TempFile("extends.json", "{\"extends\": \"strict\"}");
  const std::vector<std::string> pair = {"/usr/bin/python3", "-c", "import socket\na, b = socket.socketpair()\na.send(b'x')\nprint(b.recv(1))"};
  ExpectEnough(pair);
  EXPECT_TRUE(Contains(FileContent(policy_), "{\"names\": [\"socketpair\"], \"args\": [{\"index\": 0, \"op\": \"==\", \"value\": \"0x1\"")) << FileContent(policy_);
  const std::string once = FileContent(policy_);
  ASSERT_EQ(Learn(pair).exit_code, 0);
  EXPECT_EQ(FileContent(policy_), once);
}

TEST_F(LearnTest, AReadOnlyLineBecomesWritable) {
  const std::string file = MakeFile("file");
  ASSERT_EQ(Learn({"cat", file}).exit_code, 0);
  EXPECT_TRUE(Contains(FileContent(policy_), "{\"path\": \"" + file + "\"}")) << FileContent(policy_);
  EXPECT_NE(Run({"sh", "-c", "echo more >>" + file}).exit_code, 0);
  ASSERT_EQ(Learn({"sh", "-c", "echo more >>" + file}).exit_code, 0);
  EXPECT_TRUE(Contains(FileContent(policy_), "{\"path\": \"" + file + "\", \"access\": \"rw\"}")) << FileContent(policy_);
  EXPECT_FALSE(Contains(FileContent(policy_), "{\"path\": \"" + file + "\"}"));
  EXPECT_EQ(Run({"sh", "-c", "echo more >>" + file}).exit_code, 0);
  EXPECT_EQ(FileContent(file), "textmore\nmore\n");
}

TEST_F(LearnTest, SetIdBitsAreNotLearntWithChmod) {
  const std::string file = MakeFile("file");
  ExpectEnough({"chmod", "600", file});
  const Finished run = Run({"chmod", "4600", file});
  EXPECT_EQ(run.exit_code, 159) << run.err;
  EXPECT_TRUE(Contains(run.err, R"("value": "0x800", "mask": "0xc00"}], "action": "allow"})")) << run.err;
}

TEST_F(LearnTest, AProgramThatCrashesGivesAPolicyAndSaysSo) {
  const Finished learnt = Learn({Helper("raises_segv")});
  EXPECT_EQ(learnt.exit_code, 0);
  EXPECT_TRUE(Contains(learnt.err, "ended by SIGSEGV")) << learnt.err;
  EXPECT_TRUE(Contains(FileContent(policy_), "ended by SIGSEGV")) << FileContent(policy_);
  EXPECT_EQ(Run({Helper("raises_segv")}).exit_code, 139);
}

TEST_F(LearnTest, AnExitCodeIsTold) {
  const Finished learnt = Learn({"sh", "-c", "exit 3"});
  EXPECT_EQ(learnt.exit_code, 0);
  EXPECT_TRUE(Contains(learnt.err, "brood policy: sh exited with code 3; learnt is what it did until then\n")) << learnt.err;
}

TEST_F(LearnTest, AProgramThatHangsIsEndedByTheWallTime) {
  const Finished learnt = RunBrood({"policy", "learn", "-t", "200ms", "-o", policy_, "--", Helper("spins_forever")});
  EXPECT_EQ(learnt.exit_code, 0) << learnt.err;
  EXPECT_TRUE(Contains(learnt.err, "was ended after the wall time")) << learnt.err;
  EXPECT_EQ(RunBrood({"policy", "check", policy_}).exit_code, 0);
}

TEST_F(LearnTest, ASignalIsPassedOnAndASecondOneEndsTheProgram) {
  StartedBrood polite({"policy", "learn", "-o", policy_, "--", Helper("sleeps_forever")});
  EXPECT_EQ(polite.ReadLine(), "asleep\n");
  polite.Signal(SIGTERM);
  EXPECT_TRUE(Contains(polite.Wait().err, "ended by SIGTERM"));
  EXPECT_EQ(Run({Helper("does_nothing")}).exit_code, 127);

  StartedBrood stubborn({"policy", "learn", "-o", policy_, "--", "sh", "-c", "trap 'echo no' TERM; echo ready; while :; do :; done"});
  EXPECT_EQ(stubborn.ReadLine(), "ready\n");
  stubborn.Signal(SIGTERM);
  EXPECT_EQ(stubborn.ReadLine(), "no\n");
  stubborn.Signal(SIGTERM);
  const Finished learnt = stubborn.Wait();
  EXPECT_EQ(learnt.exit_code, 0) << learnt.err;
  EXPECT_TRUE(Contains(learnt.err, "ended by a second signal")) << learnt.err;
  EXPECT_EQ(RunBrood({"policy", "check", policy_}).exit_code, 0);
}

TEST_F(LearnTest, WhatAProgramLeavesRunningIsEnded) {
  const Finished learnt = Learn({"sh", "-c", Helper("spins_forever") + " >/dev/null 2>&1 & echo $!"});
  ASSERT_EQ(learnt.exit_code, 0) << learnt.err;
  // Who reaps it after us is the machine's init.
  const std::string status = FileContent("/proc/" + learnt.out.substr(0, learnt.out.find('\n')) + "/status");
  EXPECT_TRUE(status.empty() || Contains(status, "State:\tZ")) << status;
}

TEST_F(LearnTest, AProgramThatIsMissingWritesNothing) {
  const Finished learnt = Learn({"no-such-program"});
  EXPECT_EQ(learnt.exit_code, 125);
  EXPECT_EQ(learnt.err, "brood policy: run no-such-program: ENOENT (No such file or directory)\n");
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
}

TEST_F(LearnTest, AnOutputThatCannotBeWrittenIsToldBeforeTheProgramRuns) {
  const std::string trace = directory_ + "/ran";
  policy_ = directory_ + "/missing/policy.json";
  Finished learnt = Learn({"touch", trace});
  EXPECT_EQ(learnt.exit_code, 125);
  EXPECT_EQ(learnt.err, "brood policy: write " + policy_ + ": ENOENT (No such file or directory)\n");
  policy_ = "/dev/null";
  learnt = Learn({"touch", trace});
  EXPECT_EQ(learnt.err, "brood policy: write /dev/null: not a regular file; without -o the policy is printed\n");
  EXPECT_FALSE(std::filesystem::exists(trace));
}

TEST_F(LearnTest, AFileThatIsNoPolicyIsNotTouched) {
  policy_ = TempFile("broken.json", "{\n  \"extends\": null,\n  \"file\": []\n}\n");
  const Finished learnt = Learn({Helper("does_nothing")});
  EXPECT_EQ(learnt.exit_code, 125);
  EXPECT_TRUE(Contains(learnt.err, policy_ + ":3: field \"file\": unknown; did you mean \"files\"?")) << learnt.err;
  EXPECT_EQ(FileContent(policy_), "{\n  \"extends\": null,\n  \"file\": []\n}\n");
}

}  // namespace
}  // namespace brood
