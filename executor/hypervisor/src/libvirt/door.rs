//! The calls of libvirt that the `virt` crate does not wrap: the one place with `unsafe` here.
#![expect(
    unsafe_code,
    reason = "calls into the C library, each with its SAFETY comment"
)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt_sys as sys;

use super::connection::Connection;

/// Asks a migration that was begun with the post-copy flag to switch now.
pub(super) fn start_post_copy(domain: &Domain) -> Result<(), Error> {
    // SAFETY: the pointer is valid as long as `domain` lives; the call keeps none of it.
    checked(unsafe { sys::virDomainMigrateStartPostCopy(domain.as_ptr(), 0) })
}

/// Aborts the domain's job. Without flags libvirt refuses to abort a migration after its switch.
pub(super) fn abort_job(domain: &Domain) -> Result<(), Error> {
    // SAFETY: as above.
    checked(unsafe { sys::virDomainAbortJob(domain.as_ptr()) })
}

/// Suspends the host to its memory, for so many seconds at most: libvirt sets the clock's alarm, and
/// suspends for no less than a minute and not without one.
pub(super) fn suspend_host(connect: &Connect, seconds: u64) -> Result<(), Error> {
    let target = sys::VIR_NODE_SUSPEND_TARGET_MEM;
    // SAFETY: the pointer is valid as long as `connect` lives; the call keeps none of it.
    checked(unsafe { sys::virNodeSuspendForDuration(connect.as_ptr(), target, seconds, 0) })
}

/// Has QEMU measure the domain's dirty rate for so many seconds, by KVM's bitmap or by sampling.
pub(super) fn start_dirty_rate(domain: &Domain, bitmap: bool, seconds: u8) -> Result<(), Error> {
    let flags = if bitmap {
        sys::VIR_DOMAIN_DIRTYRATE_MODE_DIRTY_BITMAP
    } else {
        sys::VIR_DOMAIN_DIRTYRATE_MODE_PAGE_SAMPLING
    };
    // SAFETY: the pointer is valid as long as `domain` lives; the call keeps none of it.
    checked(unsafe {
        sys::virDomainStartDirtyRateCalc(domain.as_ptr(), c_int::from(seconds), flags)
    })
}

/// Whether a block job runs on that disk of the domain.
pub(super) fn has_block_job(domain: &Domain, disk: &str) -> bool {
    let Ok(disk) = CString::new(disk) else {
        return false;
    };
    let mut job = MaybeUninit::<sys::virDomainBlockJobInfo>::uninit();
    // SAFETY: both pointers are valid for the call, which fills the structure and keeps neither.
    let answer = unsafe {
        sys::virDomainGetBlockJobInfo(domain.as_ptr(), disk.as_ptr(), job.as_mut_ptr(), 0)
    };
    answer > 0
}

/// What a host says of a guest's CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CpuFit {
    /// It has all of it.
    Fits,
    /// Something is missing.
    Lacks,
}

/// Asks whether the host can run that CPU, with an emulator, architecture, machine and hypervisor.
pub(super) fn cpu_fits(
    connect: &Connect,
    machine: [Option<&str>; 4],
    cpu: &str,
) -> Result<CpuFit, Error> {
    let texts = machine.map(|text| text.and_then(|t| CString::new(t).ok()));
    let [emulator, arch, machine, kind] = texts
        .each_ref()
        .map(|t| t.as_ref().map_or(std::ptr::null(), |t| t.as_ptr()));
    let Ok(cpu) = CString::new(cpu) else {
        return Ok(CpuFit::Lacks);
    };
    // SAFETY: the connection is open while it is borrowed; the texts are NUL-terminated or null, which
    // stands for the host's default, and outlive the call.
    let answer = unsafe {
        sys::virConnectCompareHypervisorCPU(
            connect.as_ptr(),
            emulator,
            arch,
            machine,
            kind,
            cpu.as_ptr(),
            0,
        )
    };
    match answer {
        sys::VIR_CPU_COMPARE_INCOMPATIBLE => Ok(CpuFit::Lacks),
        answer if answer > 0 => Ok(CpuFit::Fits),
        _ => Err(Error::last_error()),
    }
}

/// A host's CPU time since its start by kind (`idle`, `user`, …), in nanoseconds over all its CPUs.
pub(super) fn cpu_times(connect: &Connect) -> Result<BTreeMap<String, u64>, Error> {
    let all = sys::VIR_NODE_CPU_STATS_ALL_CPUS;
    let mut count: c_int = 0;
    // SAFETY: the connection is open while it is borrowed; without a buffer the call only counts.
    checked(unsafe {
        sys::virNodeGetCPUStats(
            connect.as_ptr(),
            all,
            std::ptr::null_mut(),
            &raw mut count,
            0,
        )
    })?;
    // SAFETY: zeroes are a valid value of a structure of characters and an integer.
    let empty: sys::virNodeCPUStats = unsafe { std::mem::zeroed() };
    let mut times = vec![empty; usize::try_from(count).unwrap_or(0)];
    // SAFETY: the buffer has `count` elements, of which the call fills as many as it says in `count`.
    checked(unsafe {
        sys::virNodeGetCPUStats(connect.as_ptr(), all, times.as_mut_ptr(), &raw mut count, 0)
    })?;
    times.truncate(usize::try_from(count).unwrap_or(0));
    // SAFETY: a field's name is NUL-terminated within its array.
    let named = times
        .iter()
        .map(|t| (unsafe { text(t.field.as_ptr()) }, t.value));
    Ok(named.collect())
}

fn checked(answer: c_int) -> Result<(), Error> {
    if answer < 0 {
        Err(Error::last_error())
    } else {
        Ok(())
    }
}

/// What libvirt tells by itself of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// Its vCPUs began to run on this host.
    Resumed,
    /// At the source, pre-copy's pass of that number (from 1) began.
    Pass(i32),
    /// At the source, a job ended with these figures.
    JobCompleted(BTreeMap<String, Figure>),
}

/// A typed value as libvirt hands it over.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Figure {
    Integer(i128),
    Float(f64),
    Text(String),
}

impl Eq for Figure {}

impl Figure {
    /// An integer that is not negative.
    pub(super) fn count(&self) -> Option<u64> {
        match self {
            Self::Integer(n) => u64::try_from(*n).ok(),
            Self::Float(_) | Self::Text(_) => None,
        }
    }
}

/// A kind of notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Lifecycle,
    Pass,
    JobCompleted,
}

type Tell = Box<dyn Fn(Notice) + Send + Sync>;

struct Listener {
    uuid: Uuid,
    kind: Kind,
    tell: Tell,
}

/// By their number.
type Listeners = Mutex<BTreeMap<u64, Listener>>;

/// Who listens on a connection. Two migrations at a host share the function that libvirt calls: it is registered
/// with the first that listens, since libvirt refuses the same function a second time for one event of a
/// connection ("event callback already tracked").
#[derive(Default)]
pub(super) struct Hub {
    listeners: Arc<Listeners>,
    /// By kind, libvirt's number of the callback.
    registered: Mutex<BTreeMap<Kind, c_int>>,
    last: AtomicU64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// Has libvirt call for that kind of notice, if it does not yet.
    fn register(&self, connect: &Connect, kind: Kind) -> Result<(), Error> {
        type Generic = unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *mut c_void);
        let mut registered = locked(&self.registered);
        if registered.contains_key(&kind) {
            return Ok(());
        }
        let (id, callback) = match kind {
            Kind::Lifecycle => (
                sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                on_lifecycle as *const (),
            ),
            Kind::Pass => (
                sys::VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION,
                on_pass as *const (),
            ),
            Kind::JobCompleted => (sys::VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, on_job as *const ()),
        };
        let id = c_int::try_from(id).unwrap_or(c_int::MAX);
        // SAFETY: libvirt's registration takes every callback as this generic type and calls it by the
        // event's own type, which is the one that each of the three functions has.
        let callback: Generic = unsafe { std::mem::transmute::<*const (), Generic>(callback) };
        let opaque: *const Listeners = Arc::into_raw(Arc::clone(&self.listeners));
        let opaque = opaque.cast_mut().cast::<c_void>();
        // SAFETY: the connection is open for as long as it is borrowed; `opaque` is a share of the
        // listeners, which libvirt gives back to `free_listeners` after the last call that uses it.
        let answer = unsafe {
            sys::virConnectDomainEventRegisterAny(
                connect.as_ptr(),
                std::ptr::null_mut(),
                id,
                Some(callback),
                opaque,
                Some(free_listeners),
            )
        };
        if answer < 0 {
            let error = Error::last_error();
            // SAFETY: libvirt refused the registration and does not know `opaque`.
            unsafe { free_listeners(opaque) };
            return Err(error);
        }
        registered.insert(kind, answer);
        Ok(())
    }

    /// Has libvirt call no more; before the connection is closed.
    pub(super) fn close(&self, connect: &Connect) {
        for callback in std::mem::take(&mut *locked(&self.registered)).into_values() {
            // SAFETY: the connection is still open and the callback was registered on it. A failure
            // means that the connection is broken, and then nothing is heard either.
            unsafe { sys::virConnectDomainEventDeregisterAny(connect.as_ptr(), callback) };
        }
    }
}

/// Listening that ends when this is dropped.
pub(super) struct Listening {
    listeners: Arc<Listeners>,
    number: u64,
}

/// Tells `tell` of that kind of notice about that guest on that connection, on libvirt's event
/// thread, until what is returned is dropped. It must not listen or stop listening itself.
pub(super) fn listen(
    connection: &Connection,
    uuid: Uuid,
    kind: Kind,
    tell: impl Fn(Notice) + Send + Sync + 'static,
) -> Result<Listening, Error> {
    let hub = connection.hub();
    let number = hub.last.fetch_add(1, Ordering::Relaxed);
    let tell: Tell = Box::new(tell);
    let listener = Listener { uuid, kind, tell };
    locked(&hub.listeners).insert(number, listener);
    let listening = Listening {
        listeners: Arc::clone(&hub.listeners),
        number,
    };
    hub.register(connection, kind).map(|()| listening)
}

impl Drop for Listening {
    fn drop(&mut self) {
        locked(&self.listeners).remove(&self.number);
    }
}

unsafe extern "C" fn free_listeners(opaque: *mut c_void) {
    // SAFETY: `opaque` came from `Arc::into_raw` in `register`, and libvirt frees it once.
    drop(unsafe { Arc::from_raw(opaque.cast_const().cast::<Listeners>()) });
}

/// Passes a notice on to who listens for that kind about that guest. Nothing may unwind into C, so a
/// listener must not panic: each one only sends on a channel.
///
/// # Safety
/// `domain` is a valid domain and `opaque` a share of the listeners, as libvirt hands them to a callback.
unsafe fn hear(
    domain: sys::virDomainPtr,
    opaque: *mut c_void,
    kind: Kind,
    notice: impl Fn() -> Notice,
) {
    // SAFETY: by this function's contract.
    let listeners = unsafe { &*opaque.cast_const().cast::<Listeners>() };
    // SAFETY: likewise.
    let uuid = unsafe { uuid_of(domain) };
    for listener in locked(listeners).values() {
        if uuid == Some(listener.uuid) && kind == listener.kind {
            (listener.tell)(notice());
        }
    }
}

unsafe extern "C" fn on_lifecycle(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    event: c_int,
    _detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    if u32::try_from(event) == Ok(sys::VIR_DOMAIN_EVENT_RESUMED) {
        // SAFETY: libvirt's arguments to a callback of this event.
        unsafe { hear(domain, opaque, Kind::Lifecycle, || Notice::Resumed) };
    }
    0
}

unsafe extern "C" fn on_pass(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    pass: c_int,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt's arguments to a callback of this event.
    unsafe { hear(domain, opaque, Kind::Pass, || Notice::Pass(pass)) };
}

unsafe extern "C" fn on_job(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    parameters: sys::virTypedParameterPtr,
    count: c_int,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt's arguments to a callback of this event: `count` parameters.
    unsafe {
        hear(domain, opaque, Kind::JobCompleted, || {
            Notice::JobCompleted(figures(parameters, count))
        });
    }
}

/// # Safety
/// `domain` is a valid domain.
unsafe fn uuid_of(domain: sys::virDomainPtr) -> Option<Uuid> {
    let mut bytes = [0u8; 16];
    // SAFETY: the buffer has the 16 bytes that the call writes.
    let answer = unsafe { sys::virDomainGetUUID(domain, bytes.as_mut_ptr()) };
    (answer == 0).then(|| Uuid::from_bytes(bytes))
}

/// # Safety
/// `parameters` points to `count` parameters as libvirt fills them, or `count` is not positive.
unsafe fn figures(parameters: sys::virTypedParameterPtr, count: c_int) -> BTreeMap<String, Figure> {
    let count = usize::try_from(count).unwrap_or(0);
    if parameters.is_null() || count == 0 {
        return BTreeMap::new();
    }
    // SAFETY: by this function's contract.
    let parameters = unsafe { std::slice::from_raw_parts(parameters, count) };
    let figure = |p: &sys::virTypedParameter| {
        let value = &p.value;
        // SAFETY: `type_` says which field of the union is filled; a text is NUL-terminated and
        // lives as long as its parameter.
        let figure = unsafe {
            match u32::try_from(p.type_).unwrap_or(0) {
                sys::VIR_TYPED_PARAM_INT => Figure::Integer(value.i.into()),
                sys::VIR_TYPED_PARAM_UINT => Figure::Integer(value.ui.into()),
                sys::VIR_TYPED_PARAM_LLONG => Figure::Integer(value.l.into()),
                sys::VIR_TYPED_PARAM_ULLONG => Figure::Integer(value.ul.into()),
                sys::VIR_TYPED_PARAM_BOOLEAN => Figure::Integer(value.b.into()),
                sys::VIR_TYPED_PARAM_DOUBLE => Figure::Float(value.d),
                sys::VIR_TYPED_PARAM_STRING if !value.s.is_null() => Figure::Text(text(value.s)),
                _ => return None,
            }
        };
        // SAFETY: a field's name is NUL-terminated within its array.
        Some((unsafe { text(p.field.as_ptr()) }, figure))
    };
    parameters.iter().filter_map(figure).collect()
}

/// # Safety
/// `chars` is a NUL-terminated string.
unsafe fn text(chars: *const c_char) -> String {
    // SAFETY: by this function's contract.
    unsafe { CStr::from_ptr(chars) }
        .to_string_lossy()
        .into_owned()
}

/// One guest's statistics by libvirt's names, such as `vcpu.0.time`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statistics {
    pub(super) name: String,
    pub(super) uuid: Uuid,
    pub(super) figures: BTreeMap<String, Figure>,
}

/// The statistics of a connection's running guests; `groups` are libvirt's `VIR_DOMAIN_STATS_*`.
pub(super) fn statistics(connect: &Connect, groups: u32) -> Result<Vec<Statistics>, Error> {
    let mut records: *mut sys::virDomainStatsRecordPtr = std::ptr::null_mut();
    // SAFETY: the connection is open while it is borrowed; libvirt fills `records`.
    let count = unsafe {
        sys::virConnectGetAllDomainStats(
            connect.as_ptr(),
            groups,
            &raw mut records,
            sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE,
        )
    };
    let Ok(count) = usize::try_from(count) else {
        return Err(Error::last_error());
    };
    let mut all = Vec::with_capacity(count);
    for i in 0..count {
        // SAFETY: `records` holds `count` valid records, each with a valid domain and `nparams`
        // parameters, until they are freed below.
        let (name, uuid, figures) = unsafe {
            let record = &**records.add(i);
            let name = sys::virDomainGetName(record.dom);
            let name = (!name.is_null()).then(|| text(name));
            (
                name,
                uuid_of(record.dom),
                figures(record.params, record.nparams),
            )
        };
        if let (Some(name), Some(uuid)) = (name, uuid) {
            all.push(Statistics {
                name,
                uuid,
                figures,
            });
        }
    }
    if !records.is_null() {
        // SAFETY: the list came from libvirt and nothing refers to it any more.
        unsafe { sys::virDomainStatsRecordListFree(records) };
    }
    Ok(all)
}
