"""Procedures: what is asked for by one person, approved by others, and only then done.

A desk of people and rules. `Act` is one thing that was asked for and its life, pure; `Desk` keeps
the acts of a home; `Device` is what an approver signs with, `Parcel` what travels to the approver.
What counts as approved is the quorum's to say: custodians judge the same bytes on their own.
"""

from strongroom.procedures.act import Act
from strongroom.procedures.desk import Desk
from strongroom.procedures.device import Device
from strongroom.procedures.parcel import Parcel
from strongroom.procedures.plan import Plan, check_words

__all__ = ["Act", "Desk", "Device", "Parcel", "Plan", "check_words"]
