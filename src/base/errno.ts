/** Linux error numbers as rows; results inside the lab are 0 or a negative number of this table, as in the kernel. */
export const ERRNOS = [
  { name: 'EPERM', code: 1, text: 'Operation not permitted' },
  { name: 'ENOENT', code: 2, text: 'No such file or directory' },
  { name: 'ESRCH', code: 3, text: 'No such process' },
  { name: 'EINTR', code: 4, text: 'Interrupted system call' },
  { name: 'EIO', code: 5, text: 'Input/output error' },
  { name: 'ENXIO', code: 6, text: 'No such device or address' },
  { name: 'E2BIG', code: 7, text: 'Argument list too long' },
  { name: 'ENOEXEC', code: 8, text: 'Exec format error' },
  { name: 'EBADF', code: 9, text: 'Bad file descriptor' },
  { name: 'EAGAIN', code: 11, text: 'Resource temporarily unavailable' },
  { name: 'ENOMEM', code: 12, text: 'Cannot allocate memory' },
  { name: 'EACCES', code: 13, text: 'Permission denied' },
  { name: 'EFAULT', code: 14, text: 'Bad address' },
  { name: 'EBUSY', code: 16, text: 'Device or resource busy' },
  { name: 'EEXIST', code: 17, text: 'File exists' },
  { name: 'ENODEV', code: 19, text: 'No such device' },
  { name: 'EINVAL', code: 22, text: 'Invalid argument' },
  { name: 'EMFILE', code: 24, text: 'Too many open files' },
  { name: 'ENOSPC', code: 28, text: 'No space left on device' },
  { name: 'EDOM', code: 33, text: 'Numerical argument out of domain' },
  { name: 'ERANGE', code: 34, text: 'Numerical result out of range' },
  { name: 'EDEADLK', code: 35, text: 'Resource deadlock avoided' },
  { name: 'ENAMETOOLONG', code: 36, text: 'File name too long' },
  { name: 'ENODATA', code: 61, text: 'No data available' },
  { name: 'EPROTO', code: 71, text: 'Protocol error' },
  { name: 'EBADMSG', code: 74, text: 'Bad message' },
  { name: 'EOVERFLOW', code: 75, text: 'Value too large for defined data type' },
  { name: 'EILSEQ', code: 84, text: 'Invalid or incomplete multibyte or wide character' },
  { name: 'ENOTSOCK', code: 88, text: 'Socket operation on non-socket' },
  { name: 'EMSGSIZE', code: 90, text: 'Message too long' },
  { name: 'EPROTONOSUPPORT', code: 93, text: 'Protocol not supported' },
  { name: 'EOPNOTSUPP', code: 95, text: 'Operation not supported' },
  { name: 'EAFNOSUPPORT', code: 97, text: 'Address family not supported by protocol' },
  { name: 'EADDRINUSE', code: 98, text: 'Address already in use' },
  { name: 'ENETDOWN', code: 100, text: 'Network is down' },
  { name: 'ENETUNREACH', code: 101, text: 'Network is unreachable' },
  { name: 'ENOBUFS', code: 105, text: 'No buffer space available' },
  { name: 'EALREADY', code: 114, text: 'Operation already in progress' },
  /** Kernel-internal number that reaches user space; libc has no text for it. Not EOPNOTSUPP. */
  { name: 'ENOTSUPP', code: 524, text: 'Unknown error 524' },
] as const;

export type ErrnoName = (typeof ERRNOS)[number]['name'];

/** 0 for success, or a negative errno. */
export type Errno = number;

/** Positive code by name: `-E.EINVAL` is what a failing operation returns. */
export const E = Object.fromEntries(ERRNOS.map((row) => [row.name, row.code])) as Readonly<Record<ErrnoName, number>>;

const byCode = new Map<number, (typeof ERRNOS)[number]>(ERRNOS.map((row) => [row.code, row]));

/** `EINVAL` for 22 and -22; `errno 999` when the number has no row. */
export function errnoName(code: number): string {
  const positive = Math.abs(code);
  return byCode.get(positive)?.name ?? `errno ${positive}`;
}

/** `Invalid argument (EINVAL)`, the form in which messages carry an errno. */
export function errnoText(code: number): string {
  const row = byCode.get(Math.abs(code));
  return row ? `${row.text} (${row.name})` : errnoName(code);
}
