// SPDX-License-Identifier: MIT
#ifndef FORKSERVER_HPP
#define FORKSERVER_HPP

/*
 * libforkserver for C++17 and later, in one header: handles that free themselves, and results that are a value or an
 * error. From C++20 on bytes are std::span<const std::byte>; from C++23 on results are std::expected. Before, small
 * types of this header stand in for them.
 *
 *     auto server = forkserver::server::make({ "libparse.so" });
 *     auto request = forkserver::request::entry("libparse.so:parse").time_limit(2s);
 *     auto found = server->call(request, text);
 *     if (found)
 *             use(found->text());
 *     else
 *             complain(found.error().text());
 *
 * forkserver.h has the contract of each call. What this header lacks is there too: get() yields the C handle. Nothing
 * here throws, but for value() of a result that has none, and what the standard library throws where memory is short.
 */

#include <forkserver.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>
#if __has_include(<version>)
#include <version>
#endif
#ifdef __cpp_lib_span
#include <span>
#endif
#ifdef __cpp_lib_expected
#include <expected>
#endif

/* Objects of files that are compiled for different standards may meet in one program. */
#if defined __cpp_lib_expected
#define FORKSERVER_STANDARD cpp23
#elif defined __cpp_lib_span
#define FORKSERVER_STANDARD cpp20
#else
#define FORKSERVER_STANDARD cpp17
#endif

namespace forkserver {
inline namespace FORKSERVER_STANDARD {

/* ---- bytes, errors, results ---- */

#ifdef __cpp_lib_span
using bytes = std::span<const std::byte>;
using writable_bytes = std::span<std::byte>;
#else
template <typename byte> class byte_range {
public:
        constexpr byte_range() noexcept = default;
        constexpr byte_range(byte *data, std::size_t size) noexcept : data_(data), size_(size) {}
        constexpr byte *data() const noexcept { return data_; }
        constexpr std::size_t size() const noexcept { return size_; }
        constexpr bool empty() const noexcept { return size_ == 0; }
        constexpr byte *begin() const noexcept { return data_; }
        constexpr byte *end() const noexcept { return data_ + size_; }
        constexpr byte &operator[](std::size_t i) const noexcept { return data_[i]; }

private:
        byte *data_ = nullptr;
        std::size_t size_ = 0;
};
using bytes = byte_range<const std::byte>;
using writable_bytes = byte_range<std::byte>;
#endif

inline bytes bytes_of(std::string_view text) noexcept {
        return { reinterpret_cast<const std::byte *>(text.data()), text.size() };
}

/* What a call of the library says when it fails; of a call that ran, also how its process ended. */
class error {
public:
        error() = default;
        explicit error(const fsrv_error &raw) noexcept : raw_(raw) {}
        error(int negative, const char *what) noexcept {
                raw_.err = -negative;
                raw_.stage = FSRV_STAGE_ARGUMENT;
                std::snprintf(raw_.text, sizeof raw_.text, "%s: %s", what, std::strerror(-negative));
        }
        error(const fsrv_error &raw, const fsrv_result &result) noexcept
            : raw_(raw), status_(result.status), code_(result.code) {}

        int number() const noexcept { return raw_.err; } /* an errno value, above 0 */
        std::uint32_t stage() const noexcept { return raw_.stage; }
        const char *stage_name() const noexcept { return fsrv_stage_name(raw_.stage); }
        const char *text() const noexcept { return raw_.text; }
        const fsrv_status &status() const noexcept { return status_; } /* of size 0 if no process ran */
        int code() const noexcept { return code_; }                    /* what fsrv_worker_fail() was given */

private:
        fsrv_error raw_{};
        fsrv_status status_{};
        int code_ = 0;
};

#ifdef __cpp_lib_expected
template <typename T> using expected = std::expected<T, error>;
using unexpected = std::unexpected<error>;
#else
struct unexpected {
        explicit unexpected(forkserver::error reason) noexcept : why(reason) {}
        forkserver::error why;
};

struct bad_expected_access : std::runtime_error {
        explicit bad_expected_access(const error &reason) : std::runtime_error(reason.text()), why(reason) {}
        error why;
};

template <typename T> class expected {
public:
        expected(T value) : either_(std::in_place_index<0>, std::move(value)) {}
        expected(unexpected no) : either_(std::in_place_index<1>, no.why) {}
        bool has_value() const noexcept { return either_.index() == 0; }
        explicit operator bool() const noexcept { return has_value(); }
        T &operator*() &noexcept { return *std::get_if<0>(&either_); }
        const T &operator*() const &noexcept { return *std::get_if<0>(&either_); }
        T &&operator*() &&noexcept { return std::move(*std::get_if<0>(&either_)); }
        T *operator->() noexcept { return std::get_if<0>(&either_); }
        const T *operator->() const noexcept { return std::get_if<0>(&either_); }
        T &value() & {
                check();
                return **this;
        }
        T &&value() && {
                check();
                return *std::move(*this);
        }
        const forkserver::error &error() const noexcept { return *std::get_if<1>(&either_); }

private:
        void check() const {
                if (!has_value())
                        throw bad_expected_access(error());
        }
        std::variant<T, forkserver::error> either_;
};

template <> class expected<void> {
public:
        expected() = default;
        expected(unexpected no) : why_(no.why), failed_(true) {}
        bool has_value() const noexcept { return !failed_; }
        explicit operator bool() const noexcept { return !failed_; }
        void value() const {
                if (failed_)
                        throw bad_expected_access(why_);
        }
        const forkserver::error &error() const noexcept { return why_; }

private:
        forkserver::error why_;
        bool failed_ = false;
};
#endif

/* What an entry point gave back. */
class output {
public:
        explicit output(const fsrv_result &raw) noexcept : raw_(raw) {}
        output(output &&other) noexcept : raw_(std::exchange(other.raw_, empty())) {}
        output &operator=(output &&other) noexcept {
                std::swap(raw_, other.raw_);
                return *this;
        }
        ~output() { fsrv_result_free(&raw_); }

        forkserver::bytes bytes() const noexcept { return { static_cast<const std::byte *>(raw_.bytes), raw_.n }; }
        std::string_view text() const noexcept { return { static_cast<const char *>(raw_.bytes), raw_.n }; }
        const fsrv_status &status() const noexcept { return raw_.status; }

        static fsrv_result empty() noexcept {
                fsrv_result none{};
                none.size = sizeof none;
                return none;
        }

private:
        fsrv_result raw_;
};

/* ---- sandboxes ---- */

/* What processes may do. seal() gives one that cannot be changed; copies of it are the same one. */
class sandbox {
public:
        class builder {
        public:
                explicit builder(const std::string &profile) {
                        fsrv_error why{};
                        fsrv_sandbox *raw = nullptr;
                        if (fsrv_sandbox_new(profile.c_str(), &raw, &why) < 0)
                                why_ = why;
                        raw_.reset(raw);
                }
                /* access: FSRV_PATH_…, FSRV_PORT_…; refuse, allow: enum fsrv_refuse; flags: FSRV_SANDBOX_… */
                builder &path(const std::string &path, std::uint32_t access) {
                        return keep(raw_ ? fsrv_sandbox_add_path(raw_.get(), path.c_str(), access) : 0, path);
                }
                builder &port(std::uint16_t port, std::uint32_t access) {
                        return keep(raw_ ? fsrv_sandbox_add_port(raw_.get(), port, access) : 0, "a port");
                }
                builder &limit(int resource, std::uint64_t value) {
                        return keep(raw_ ? fsrv_sandbox_limit(raw_.get(), resource, value) : 0, "a limit");
                }
                builder &refuse(std::uint32_t groups) {
                        return keep(raw_ ? fsrv_sandbox_refuse(raw_.get(), groups) : 0, "groups of calls");
                }
                builder &allow(std::uint32_t groups) {
                        return keep(raw_ ? fsrv_sandbox_allow(raw_.get(), groups) : 0, "groups of calls");
                }
                builder &flags(std::uint32_t flags) {
                        return keep(raw_ ? fsrv_sandbox_set_flags(raw_.get(), flags) : 0, "flags");
                }
                /* The first error of all these, or of sealing. */
                expected<sandbox> seal() {
                        if (why_.err == 0 && fsrv_sandbox_seal(raw_.get(), nullptr, nullptr, &why_) < 0 &&
                            why_.err == 0)
                                why_.err = EINVAL;
                        if (why_.err != 0)
                                return unexpected(error(why_));
                        return sandbox(raw_.release());
                }

        private:
                builder &keep(int r, const std::string &what) {
                        if (r < 0 && why_.err == 0) {
                                why_.err = -r;
                                why_.stage = FSRV_STAGE_SANDBOX;
                                std::snprintf(why_.text, sizeof why_.text, "%.200s: %s", what.c_str(),
                                              std::strerror(-r));
                        }
                        return *this;
                }
                struct deleter {
                        void operator()(fsrv_sandbox *raw) const noexcept { fsrv_sandbox_unref(raw); }
                };
                std::unique_ptr<fsrv_sandbox, deleter> raw_;
                fsrv_error why_{};
        };

        static builder profile(const std::string &name) { return builder(name); }

        fsrv_sandbox *get() const noexcept { return raw_.get(); }

private:
        explicit sandbox(fsrv_sandbox *raw) : raw_(raw, fsrv_sandbox_unref) {}
        std::shared_ptr<fsrv_sandbox> raw_;
};

/* ---- requests ---- */

/* What to run. The first error of a setter comes from the call that uses the request. */
class request {
public:
        static request entry(const std::string &name) { return request(fsrv_request_set_entry, name); }
        static request program(const std::string &name) { return request(fsrv_request_set_program, name); }

        request &arguments(const std::vector<std::string> &list) & { return set(fsrv_request_set_argv, list); }
        request &environment(const std::vector<std::string> &list) & { return set(fsrv_request_set_environment, list); }
        request &directory(const std::string &path) & { return keep(fsrv_request_set_directory(get(), path.c_str())); }
        request &flags(std::uint32_t flags) & { return keep(fsrv_request_set_flags(get(), flags)); }
        request &time_limit(std::chrono::milliseconds limit, std::chrono::milliseconds grace = {}) & {
                return keep(fsrv_request_set_time_limit(get(), static_cast<std::uint64_t>(limit.count()),
                                                        static_cast<std::uint64_t>(grace.count())));
        }
        request &attributes(fsrv_attributes all) & { /* the size is set here */
                all.size = sizeof all;
                return keep(fsrv_request_set_attributes(get(), &all, nullptr));
        }
        request &in(const sandbox &box) & { return keep(fsrv_request_set_sandbox(get(), box.get())); }
        request &payload(bytes all) & { /* borrowed until the spawns have returned */
                return keep(fsrv_request_set_payload(get(), all.data(), all.size()));
        }
        request &payload_fd(int fd) & { return keep(fsrv_request_set_payload_fd(get(), fd)); }
        request &dup2(int fd, int child_fd) & { return keep(fsrv_request_add_dup2(get(), fd, child_fd)); }

        request &&arguments(const std::vector<std::string> &list) && { return std::move(arguments(list)); }
        request &&environment(const std::vector<std::string> &list) && { return std::move(environment(list)); }
        request &&directory(const std::string &path) && { return std::move(directory(path)); }
        request &&flags(std::uint32_t bits) && { return std::move(flags(bits)); }
        request &&time_limit(std::chrono::milliseconds limit, std::chrono::milliseconds grace = {}) && {
                return std::move(time_limit(limit, grace));
        }
        request &&attributes(const fsrv_attributes &all) && { return std::move(attributes(all)); }
        request &&in(const sandbox &box) && { return std::move(in(box)); }
        request &&payload(bytes all) && { return std::move(payload(all)); }
        request &&payload_fd(int fd) && { return std::move(payload_fd(fd)); }
        request &&dup2(int fd, int child_fd) && { return std::move(dup2(fd, child_fd)); }

        fsrv_request *get() const noexcept { return raw_.get(); }
        int first_error() const noexcept { return err_; } /* 0, or negative */

private:
        request(int (*setter)(fsrv_request *, const char *), const std::string &name) {
                fsrv_request *raw = nullptr;
                if (fsrv_request_new(&raw) < 0)
                        throw std::bad_alloc();
                raw_.reset(raw);
                keep(setter(raw, name.c_str()));
        }
        request &keep(int r) noexcept {
                if (err_ == 0 && r < 0)
                        err_ = r;
                return *this;
        }
        request &set(int (*setter)(fsrv_request *, const char *const *), const std::vector<std::string> &list) {
                std::vector<const char *> words;
                for (const auto &word : list)
                        words.push_back(word.c_str());
                words.push_back(nullptr);
                return keep(setter(get(), words.data()));
        }
        struct deleter {
                void operator()(fsrv_request *raw) const noexcept { fsrv_request_free(raw); }
        };
        std::unique_ptr<fsrv_request, deleter> raw_;
        int err_ = 0;
};

/* ---- processes ---- */

class process {
public:
        explicit process(fsrv_process *raw) noexcept : raw_(raw) {} /* takes the reference over */

        pid_t pid() const noexcept { return fsrv_process_get_pid(get()); }
        int poll_fd() noexcept { return fsrv_process_get_poll_fd(get()); }
        int kill(int signal) noexcept { return fsrv_process_kill(get(), signal); }
        /* Waits for the end; ETIMEDOUT: it lives. A time of -1 is for ever. */
        expected<fsrv_status> wait(std::chrono::milliseconds time = std::chrono::milliseconds(-1)) {
                fsrv_status status{};
                fsrv_error why{};
                status.size = sizeof status;
                if (fsrv_process_wait(get(), static_cast<int>(time.count()), &status, &why) < 0)
                        return unexpected(error(why));
                return status;
        }
        /* After the end, of a request with FSRV_SPAWN_RESULT. */
        expected<output> result() {
                fsrv_result result = output::empty();
                fsrv_error why{};
                if (fsrv_process_get_result(get(), &result, &why) < 0)
                        return unexpected(error(why, result));
                return output(result);
        }

        fsrv_process *get() const noexcept { return raw_.get(); }

private:
        struct deleter {
                void operator()(fsrv_process *raw) const noexcept { fsrv_process_unref(raw); }
        };
        std::unique_ptr<fsrv_process, deleter> raw_;
};

/* ---- servers ---- */

class server {
public:
        explicit server(fsrv_server *raw) noexcept : raw_(raw) {} /* takes it over */

        /* A private server with these modules. FSRV_PRELOAD_MAIN is this program (fsrv_zygote_enter()). */
        static expected<server> make(const std::vector<std::string> &preload = {}, fsrv_server_options options = {}) {
                std::vector<const char *> modules;
                for (const auto &module : preload)
                        modules.push_back(module.c_str());
                modules.push_back(nullptr);
                options.size = sizeof options;
                options.preload = modules.data();
                fsrv_server *raw = nullptr;
                fsrv_error why{};
                if (fsrv_server_new(&options, &raw, &why) < 0)
                        return unexpected(error(why));
                return server(raw);
        }
        static expected<server> connect(const std::string &path, uid_t uid = FSRV_UID_OWN) {
                fsrv_server *raw = nullptr;
                fsrv_error why{};
                if (fsrv_server_connect(path.c_str(), uid, &raw, &why) < 0)
                        return unexpected(error(why));
                return server(raw);
        }

        /* Any number of threads may use these at once. */
        expected<output> call(const request &what, bytes input) const {
                if (what.first_error() < 0)
                        return refused(what);
                fsrv_result result = output::empty();
                fsrv_error why{};
                const void *begin = input.data() ? input.data() : static_cast<const void *>("");
                if (fsrv_call(get(), what.get(), begin, input.size(), &result, &why) < 0)
                        return unexpected(error(why, result));
                return output(result);
        }
        expected<output> call(const request &what, std::string_view text) const { return call(what, bytes_of(text)); }
        /* The input is the request's payload, which may be a file. */
        expected<output> call(const request &what) const {
                if (what.first_error() < 0)
                        return refused(what);
                fsrv_result result = output::empty();
                fsrv_error why{};
                if (fsrv_call(get(), what.get(), nullptr, 0, &result, &why) < 0)
                        return unexpected(error(why, result));
                return output(result);
        }
        /* Several calls at a time; take(index, expected<output>) is called once for each input, in this thread. It must
         * not throw. */
        template <typename Function>
        expected<void> call_many(const request &what, const std::vector<bytes> &inputs, Function take,
                                 fsrv_many how = {}) const {
                if (what.first_error() < 0)
                        return refused(what);
                std::vector<fsrv_input> raw;
                for (const auto &input : inputs)
                        raw.push_back({ input.data() ? input.data() : static_cast<const void *>(""), input.size() });
                how.size = sizeof how;
                fsrv_error why{};
                if (fsrv_call_many(get(), what.get(), raw.data(), raw.size(), &how, tell<Function>, &take, &why) < 0)
                        return unexpected(error(why));
                return {};
        }
        expected<process> spawn(const request &what) const {
                if (what.first_error() < 0)
                        return refused(what);
                fsrv_process *raw = nullptr;
                fsrv_error why{};
                if (fsrv_spawn(get(), what.get(), &raw, &why) < 0)
                        return unexpected(error(why));
                return process(raw);
        }
        expected<fsrv_status> run(const request &what) const {
                if (what.first_error() < 0)
                        return refused(what);
                fsrv_status status{};
                fsrv_error why{};
                status.size = sizeof status;
                if (fsrv_run(get(), what.get(), &status, &why) < 0)
                        return unexpected(error(why));
                return status;
        }

        fsrv_server *get() const noexcept { return raw_.get(); }

private:
        static unexpected refused(const request &what) { return unexpected(error(what.first_error(), "the request")); }
        template <typename Function>
        static int tell(void *data, std::size_t index, int r, fsrv_result *result, const fsrv_error *why) noexcept {
                auto &take = *static_cast<Function *>(data);
                if (r < 0)
                        take(index, expected<output>(unexpected(error(*why, *result))));
                else
                        take(index, expected<output>(output(std::exchange(*result, output::empty()))));
                return 0;
        }
        struct deleter {
                void operator()(fsrv_server *raw) const noexcept { fsrv_server_free(raw); }
        };
        std::unique_ptr<fsrv_server, deleter> raw_;
};

/* ---- in a worker ---- */

namespace worker {

inline bytes payload() noexcept {
        const void *data = nullptr;
        std::size_t n = 0;
        fsrv_worker_get_payload(&data, &n);
        return { static_cast<const std::byte *>(data), n };
}
inline std::string_view text() noexcept {
        const bytes all = payload();
        return { reinterpret_cast<const char *>(all.data()), all.size() };
}
/* These return 0 or a negative errno value. */
inline int set_result(bytes result) noexcept {
        return fsrv_worker_set_result(result.data(), result.size());
}
inline int set_result(std::string_view text) noexcept {
        return set_result(bytes_of(text));
}
inline int fail(int code, const std::string &text) noexcept {
        return fsrv_worker_fail(code, text.c_str());
}
/* Room for the result, to write in; without data() if there is none. */
inline writable_bytes result_buffer(std::size_t n) noexcept {
        void *room = nullptr;
        if (fsrv_worker_result_buffer(n, &room) < 0)
                return {};
        return { static_cast<std::byte *>(room), n };
}

} // namespace worker
} // namespace FORKSERVER_STANDARD
} // namespace forkserver

#endif
