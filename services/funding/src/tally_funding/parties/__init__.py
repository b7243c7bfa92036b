"""The directory's word on parties: who is registered, below whom, with which verified contacts."""
